"""`instant resources`: publish, list, archive and restore a creator's prompts."""

from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from cyclopts import App
from cyclopts.types import ExistingFile

from cli import output
from cli.executions import switch_model, try_resource
from cli.remote import door
from cli.remote import resources as at_door
from cli.resource_versions import (
    batch_fields,
    diff_versions,
    import_older,
    list_versions,
    publish_resource,
    show_resource,
)
from cli.shared import Flag, Json, in_transaction, owner, tell_obstacle
from core import amounts, db
from core.accounts import accounts
from core.failures import InvalidInput, NotFound
from core.resources import batch, departures, document, estimates, readiness, versions
from core.resources import draft as resource_drafts
from core.resources.obstacles import ADVICE
from core.settings import settings

resources = App(name="resources")
resources.command(try_resource, name="test")
resources.command(switch_model, name="switch")
resources.command(show_resource, name="show")
resources.command(publish_resource, name="publish")
resources.command(list_versions, name="versions")
resources.command(diff_versions, name="diff")
resources.command(import_older, name="import")


@resources.command(name="create")
@door.anywhere
def create_resources(
    handle: str,
    /,
    *files: ExistingFile,
    draft: Flag = False,
    dry_run: Flag = False,
    allow_loss: bool = False,
    allow_breaking: Flag = False,
    json: Json = False,
) -> None:
    """Put prompts on sale, or new versions of them: all of the files, or none.

    Args:
        handle: the creator.
        files: one YAML or JSON file for each prompt; docs/creators.md describes it.
        draft: only save them as drafts, which `instant resources publish` puts on sale.
        dry_run: change nothing, and say everything that this would.
        allow_loss: publish even if nearly every call costs more than the price.
        allow_breaking: publish even if requests that buyers' programs send today would be refused.
        json: print JSON.
    """
    documents = [_read_file(path) for path in files]

    async def publish(conn: db.Connection) -> list[dict[str, Any]]:
        creator = await owner(conn, handle)
        async with conn.transaction(force_rollback=dry_run):
            kept = await batch.keep(
                conn, creator.id, documents, as_drafts=draft, allow_loss=allow_loss, allow_breaking=allow_breaking
            )
        return [_kept(creator, one) for one in kept]

    try:
        if door.chosen():
            door.check_handle(handle)
            published = at_door.publish_all(
                documents, draft=draft, dry_run=dry_run, allow_loss=allow_loss, allow_breaking=allow_breaking
            )
        else:
            published = in_transaction(publish)
    except InvalidInput as refusal:
        fields = refusal.fields
    else:
        _show_published(published, draft=draft, dry_run=dry_run, json=json)
        return
    raise InvalidInput(batch_fields(fields, [str(path) for path in files]))


def _show_published(published: list[dict[str, Any]], *, draft: bool, dry_run: bool, json: bool) -> None:
    if json:
        output.document(published)
        return
    done = (
        "could be saved" if draft and dry_run else "a draft" if draft else "to go on offer" if dry_run else "on offer"
    )
    for one in published:
        state = done if one["is_new"] else "unchanged"
        cost = amounts.dollars(one["worst_cost_usd"])
        output.line(f"{one['url']}  version {one['number']}, {state}: {one['price_usdc']} USDC, costs at most ${cost}")
        for warning in one["warnings"]:
            output.remark(f"  warning: {warning}")
        if not draft:
            tell_obstacle(one["obstacle"])


@resources.command(name="estimate")
@door.anywhere
def estimate_cost(handle: str, file: ExistingFile, /, *, margin: Decimal | None = None, json: Json = False) -> None:
    """Estimate what a call of a prompt costs, on its model and on up to five cheaper ones. Nothing is published.

    Args:
        handle: the creator.
        file: its YAML file.
        margin: the share of the price to keep, such as 0.3; the table then shows the price for a usual call.
    """
    values = _read_file(file)

    async def estimate(conn: db.Connection) -> estimates.Estimate:
        creator = await owner(conn, handle)
        return await estimates.estimate(conn, creator.id, _read_draft(file, values), margin=margin)

    if door.chosen():
        door.check_handle(handle)
        done = at_door.estimate(values, margin)
    else:
        done = in_transaction(estimate)
    if json:
        output.document(asdict(done))
        return
    output.table(
        (
            {
                "model": cost.model_id,
                "least $": amounts.dollars(cost.least_usd),
                "typical $": amounts.dollars(cost.typical_usd),
                "worst $": amounts.dollars(cost.worst_usd),
                "USDC": None if cost.price_atomic is None else amounts.usdc(cost.price_atomic),
            }
            for cost in (done.on_its_model, *done.cheaper)
        ),
        empty="",
    )
    wanted = values.get("max_output_tokens", resource_drafts.Draft.model_fields["max_output_tokens"].default)
    if isinstance(wanted, int) and done.max_output_tokens < wanted:
        output.line(
            f"\nWith {done.max_output_tokens} max_output_tokens, the most that its model answers: publishing needs "
            "them in the document, because the default is higher."
        )
    if done.usual.basis == "estimate":
        output.line("\nTypical is an estimate: too few calls of it were answered in the last 30 days.")
        if done.usual.error is not None:
            share = f"{done.usual.error * 100:.0f} %"
            output.line(
                f"Half of {done.usual.error_calls} logged calls cost at most {share} more or less than estimated."
            )


@resources.command(name="list")
@door.anywhere
def list_resources(handle: str, /, *, json: Json = False) -> None:
    """Show a creator's prompts, each `ready` or with the reason why it is not sold."""

    async def collect(conn: db.Connection) -> list[dict[str, Any]]:
        creator = await owner(conn, handle)
        leaving = await departures.departures(conn, creator.id)
        return [
            await _row(conn, version) | {"model_notice": leaving.get(version.slug)}
            for version in await versions.listing(conn, creator.id)
        ]

    if door.chosen():
        door.check_handle(handle)
        rows = at_door.listing()
    else:
        rows = in_transaction(collect)
    if json:
        output.document(rows)
    else:
        output.table(rows, empty=f"{handle} has published nothing yet.")


@resources.command(name="archive")
@door.anywhere
def archive_resource(handle: str, slug: str, /, *, json: Json = False) -> None:
    """Take a prompt off sale. Its slug stays taken."""
    _switch(handle, slug, "archive", json, f"/@{handle}/{slug} is off sale.")


@resources.command(name="restore")
@door.anywhere
def restore_resource(handle: str, slug: str, /, *, json: Json = False) -> None:
    """Put an archived prompt on sale again."""
    _switch(handle, slug, "restore", json, f"/@{handle}/{slug} is on offer again.")


def _kept(creator: accounts.Account, one: batch.Kept) -> dict[str, Any]:
    version = one.version
    return {
        "url": f"{settings().public_url}/@{creator.handle}/{version.slug}",
        "slug": version.slug,
        "price_usdc": amounts.usdc(version.price_atomic),
        "resource_id": version.resource_id,
        "version_id": version.version_id,
        "number": version.number,
        "worst_cost_usd": one.worst_cost_usd,
        "warnings": one.warnings,
        "is_new": one.is_new,
        "obstacle": one.obstacle,
    }


async def _row(conn: db.Connection, version: versions.Version) -> dict[str, Any]:
    obstacle = await readiness.why_not_sold(conn, version)
    return {
        "slug": version.slug,
        "title": version.title,
        "model": version.model_id,
        "modality": version.modality,
        "version": version.number,
        "price_usdc": amounts.usdc(version.price_atomic),
        "worst_cost_usd": amounts.dollars(version.worst_cost_usd),
        "state": obstacle or "ready",
        "advice": obstacle and ADVICE[obstacle],
    }


def _switch(handle: str, slug: str, verb: Literal["archive", "restore"], json: bool, sentence: str) -> None:
    change = {"archive": versions.archive, "restore": versions.restore}[verb]

    async def switch(conn: db.Connection) -> None:
        await change(conn, (await owner(conn, handle)).id, slug)

    try:
        if door.chosen():
            door.check_handle(handle)
            at_door.switch(slug, verb)
        else:
            in_transaction(switch)
        is_known = True
    except NotFound:
        is_known = False
    if not is_known:
        raise InvalidInput({"slug": f"{handle} has no resource {slug}"})
    if json:
        output.document({"handle": handle, "slug": slug})
    else:
        output.line(sentence)


def _read_file(path: Path) -> dict[str, object]:
    try:
        return document.read_text(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        fields = {str(path): "is not UTF-8 text"}
    except InvalidInput as refusal:
        fields = {str(path): sentence for sentence in refusal.fields.values()}
    raise InvalidInput(fields)


def _read_draft(path: Path, values: dict[str, object]) -> resource_drafts.Draft:
    try:
        return resource_drafts.read(values)
    except InvalidInput as refusal:
        fields = {f"{path}: {field}": sentence for field, sentence in refusal.fields.items()}
    raise InvalidInput(fields)
