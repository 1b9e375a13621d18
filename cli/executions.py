"""`instant executions`: show and re-run executions; and the owner's test of a resource."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter

from cli import output
from cli.remote import door
from cli.remote import resources as at_door
from cli.shared import Json, in_transaction, owner
from core import amounts, db
from core.accounts import accounts
from core.db import notifications
from core.executions import lifecycle, model_switch, own_tests
from core.executions import views as execution_views
from core.failures import ExecutionFailed, InvalidInput, Misconfigured, NotFound, OwnTestRefused
from core.process import worker
from core.providers.errors import advice
from core.resources import editing, template
from core.settings import settings

executions = App(name="executions")

_Switched = tuple[dict[str, Any], Mapping[str, Any], Sequence[str]]


@executions.command(name="list")
def list_executions(*, creator: str | None = None, most: int = 20, json: Json = False) -> None:
    """List the newest executions.

    Args:
        creator: only this creator's.
        most: how many.
        json: print JSON.
    """
    rows = in_transaction(lambda conn: execution_views.listing(conn, creator, most))
    lines = [row._asdict() for row in rows]
    if json:
        output.document(lines)
    else:
        output.table(lines, empty="Nothing has been executed yet.")


@executions.command(name="show")
def show_execution(execution_id: UUID, /, *, json: Json = False) -> None:
    """Show one execution with its payment; never its inputs or its answer."""
    row = in_transaction(lambda conn: execution_views.read(conn, execution_id))
    if row is None:
        raise NotFound
    facts = {name: value for name, value in row._asdict().items() if name != "sealed_result"}
    if row.sent_at and not row.flow_run_id:
        facts["flow_run_id"] = "none: Prefect was down"
    facts["advice"] = advice(row.detail or "")
    if json:
        output.document(facts)
    else:
        output.table([{"": name, " ": value} for name, value in facts.items()], empty="")


@executions.command(name="rerun")
def rerun_execution(execution_id: UUID, /, *, json: Json = False) -> None:
    """Queue a failed, paid execution again with the same inputs."""
    if not in_transaction(lambda conn: lifecycle.rerun(conn, execution_id)):
        raise InvalidInput({"execution": "only a failed, paid execution within its time and number can be re-run"})
    if json:
        output.document({"execution_id": execution_id, "state": "queued"})
    else:
        output.line(f"{execution_id} is queued again.")


@door.anywhere
def try_resource(
    handle: str,
    slug: str,
    /,
    *,
    param: Annotated[tuple[str, ...], Parameter(name=("--param", "-p"))] = (),
    message: str | None = None,
    version: int | None = None,
    json: Json = False,
) -> None:
    """Run a resource for free as its owner, like a paid call, and print the answer with its cost.

    Args:
        handle: the creator's handle.
        slug: the resource's slug.
        version: which; by default the draft, or what is on offer if there is none.
        param: an input as NAME=VALUE; repeat it for more.
        message: the user message, if the template takes one.
        json: print JSON.
    """
    inputs = _inputs(param, message)
    if door.chosen():
        result, told = _test_at_door(handle, slug, inputs, version)
    else:
        result, told = asyncio.run(_test(handle, slug, inputs, version))
    facts = {name: told[name] for name in ("version", "cost_usd", "price_usdc", "seconds")}
    if json:
        output.document(result | {"test": facts})
        return
    output.line(result["response"])
    for image in result.get("images", ()):
        output.line(f"{image[:60]}… ({len(image)} characters)")
    if told["cost_usd"] is not None:
        cost = f"model ${told['cost_usd']:f} + markup ${told['markup_usd']:f} = ${told['price_usdc']}"
        output.remark(f"version {told['version']}: {cost}, {told['seconds']:.1f} s")


@door.anywhere
def switch_model(
    handle: str,
    slug: str,
    model: str,
    /,
    *,
    param: Annotated[tuple[str, ...], Parameter(name=("--param", "-p"))] = (),
    message: str | None = None,
    json: Json = False,
) -> None:
    """Move a prompt to another model: run its owner's test there and, if the model answers, sell on it from then on.

    Args:
        handle: the creator's handle.
        slug: the resource's slug.
        model: the id of the new model.
        param: an input of the test as NAME=VALUE; a required one that you leave out is its own description or name.
        message: the user message of the test, if the template takes one.
        json: print JSON.
    """
    inputs = _inputs(param, message)
    if door.chosen():
        facts, answer, warnings = _switch_at_door(handle, slug, model, inputs)
    else:
        facts, answer, warnings = asyncio.run(_switch(handle, slug, model, inputs))
    if json:
        output.document(facts | {"warnings": warnings, "answer": answer})
        return
    output.line(str(answer["response"]))
    worst, before = (amounts.dollars(facts[name]) for name in ("worst_cost_usd", "previous_worst_cost_usd"))
    cost = "an unknown sum" if facts["test_cost_usd"] is None else f"${amounts.dollars(facts['test_cost_usd'])}"
    output.line(
        f"\n/@{handle}/{slug} is on sale on {facts['model']} now, as version {facts['version']}. The test cost {cost}. "
        f"A call costs at most ${worst} (before: ${before}), and sells for {facts['price_usdc']} USDC; the lowest "
        f"price that is no certain loss is {facts['price_floor_usdc']} USDC."
    )
    for warning in warnings:
        output.remark(f"  warning: {warning}")


async def _switch(handle: str, slug: str, model: str, inputs: dict[str, str]) -> _Switched:
    async with db.pool() as pool, notifications.listening() as hub:
        async with pool.connection() as conn:
            await _need_launcher(conn)
            creator = await owner(conn, handle)
        switched = await model_switch.switch(pool, hub, creator.id, slug, model, inputs)
    now, before = switched.candidate.version, switched.candidate.current
    facts = {
        "model": now.model_id,
        "previous_model": before.model_id,
        "version": now.number,
        "price_usdc": amounts.usdc(now.price_atomic),
        "price_floor_usdc": amounts.usdc(switched.candidate.price_floor_atomic),
        "worst_cost_usd": now.worst_cost_usd,
        "previous_worst_cost_usd": before.worst_cost_usd,
        "test_cost_usd": switched.cost_usd,
    }
    return facts, switched.answer, switched.candidate.warnings


def _switch_at_door(handle: str, slug: str, model: str, inputs: dict[str, str]) -> _Switched:
    door.check_handle(handle)
    told = at_door.switch_model(slug, model, inputs)
    facts = {
        "model": told["model"],
        "previous_model": told["previousModel"],
        "version": told["version"],
        "price_usdc": told["priceUsdc"],
        "price_floor_usdc": told["priceFloorUsdc"],
        "worst_cost_usd": Decimal(told["worstCostUsd"]),
        "previous_worst_cost_usd": Decimal(told["previousWorstCostUsd"]),
        "test_cost_usd": _usd(told["test"]["costUsd"]),
    }
    return facts, told["test"]["result"], told["warnings"]


def _test_at_door(
    handle: str, slug: str, inputs: dict[str, str], version: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    door.check_handle(handle)
    try:
        result, told = at_door.try_out(slug, inputs, version)
    except NotFound:
        pass
    else:
        cost, markup = _usd(told["costUsd"]), _usd(told["markupUsd"])
        facts = {"version": told["version"], "cost_usd": cost, "markup_usd": markup, "price_usdc": told["priceUsdc"]}
        return result, facts | {"seconds": told["seconds"]}
    raise InvalidInput({"slug": f"{handle} has no such version of {slug}"})


def _usd(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


async def _need_launcher(conn: db.Connection) -> None:
    if not await worker.launchers(conn):
        raise Misconfigured("no process runs executions now; start `instant dev` or `instant api`")


def _inputs(param: tuple[str, ...], message: str | None) -> dict[str, str]:
    return dict(_input(pair) for pair in param) | ({} if message is None else {template.USER_MESSAGE: message})


async def _test(
    handle: str, slug: str, inputs: dict[str, str], number: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    config = settings()
    async with db.pool() as pool, notifications.listening() as hub:
        try:
            async with pool.connection() as conn:
                await _need_launcher(conn)
                creator = await accounts.find(conn, handle)
                version = (await editing.find(conn, creator.id, slug, number=number)).version
                test = await own_tests.begin(conn, version, inputs)
        except OwnTestRefused as refused:
            fields = {slug: f"the test cannot run now ({refused.detail}). {refused.advice}"}
        else:
            until = time.monotonic() + version.timeout_seconds + config.lease_seconds
            row = await execution_views.follow(pool, hub, test.id, until)
            async with pool.connection() as conn:
                report = await own_tests.report(conn, version, row)
            if row.state != "succeeded":
                raise ExecutionFailed(row.code or "generation_timeout", row.fault or "ours", row.detail or row.state)
            facts = {
                "version": version.number,
                "cost_usd": report.cost_usd,
                "markup_usd": report.markup_usd,
                "price_usdc": amounts.usdc(version.price_atomic),
                "seconds": report.seconds,
            }
            return execution_views.open_result(row), facts
    raise InvalidInput(fields)


def _input(pair: str) -> tuple[str, str]:
    name, separator, value = pair.partition("=")
    if not separator:
        raise InvalidInput({"-p": f"write NAME=VALUE, not {pair!r}"})
    return name, value
