"""`instant resources`: publish, list, archive and restore a creator's prompts."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from cyclopts import App
from cyclopts.types import ExistingFile

from cli import output
from cli.executions import switch_model, try_resource
from cli.shared import Json, in_transaction, owner
from core import amounts, db
from core.accounts import accounts
from core.failures import InvalidInput, NotFound, Unavailable
from core.resources import departures, estimates, publishing, readiness, versions
from core.resources import draft as resource_drafts
from core.settings import settings

resources = App(name="resources")
resources.command(try_resource, name="test")
resources.command(switch_model, name="switch")


class _Loader(yaml.SafeLoader):
    """YAML in which everything except null, true and false is text, so that a price never becomes a float."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way, and its type


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)$"), ["t", "f"])


@resources.command(name="create")
def create_resources(handle: str, /, *files: ExistingFile, allow_loss: bool = False, json: Json = False) -> None:
    """Put prompts on sale, or new versions of them: all of the files, or none.

    Args:
        handle: the creator.
        files: one YAML file for each prompt; docs/creators.md describes it.
        allow_loss: publish even if nearly every call costs more than the price.
    """
    drafts = sorted(((path, _read_draft(path)) for path in files), key=lambda pair: pair[1].slug)

    async def publish(conn: db.Connection) -> list[dict[str, Any]]:
        creator = await owner(conn, handle)
        return [
            {
                "url": f"{settings().public_url}/@{handle}/{content.slug}",
                "price_usdc": amounts.usdc(content.price_atomic),
                **asdict(await _publish(conn, creator, path, content, allow_loss=allow_loss)),
            }
            for path, content in drafts
        ]

    published = in_transaction(publish)
    if json:
        output.document(published)
        return
    for one in published:
        state = "on sale now" if one["is_new"] else "unchanged"
        cost = amounts.dollars(one["worst_cost_usd"])
        output.line(f"{one['url']}  version {one['number']}, {state}: {one['price_usdc']} USDC, costs at most ${cost}")
        for warning in one["warnings"]:
            output.remark(f"  warning: {warning}")


@resources.command(name="estimate")
def estimate_cost(handle: str, file: ExistingFile, /, *, margin: Decimal | None = None, json: Json = False) -> None:
    """Estimate what a call of a prompt costs, on its model and on up to five cheaper ones. Nothing is published.

    Args:
        handle: the creator.
        file: its YAML file.
        margin: the share of the price to keep, such as 0.3; the table then shows the price for a usual call.
    """
    draft = _read_draft(file)

    async def estimate(conn: db.Connection) -> estimates.Estimate:
        creator = await owner(conn, handle)
        return await estimates.estimate(conn, creator.id, draft, margin=margin)

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
    if done.usual.basis == "estimate":
        output.line("\nTypical is an estimate: too few calls of it were answered in the last 30 days.")
        if done.usual.error is not None:
            share = f"{done.usual.error * 100:.0f} %"
            output.line(
                f"Half of {done.usual.error_calls} logged calls cost at most {share} more or less than estimated."
            )


@resources.command(name="list")
def list_resources(handle: str, /, *, json: Json = False) -> None:
    """Show a creator's prompts, each `ready` or with the reason why it is not sold."""

    async def collect(conn: db.Connection) -> list[dict[str, Any]]:
        creator = await owner(conn, handle)
        leaving = await departures.departures(conn, creator.id)
        return [
            await _row(conn, version) | {"model_notice": leaving.get(version.slug)}
            for version in await versions.listing(conn, creator.id)
        ]

    rows = in_transaction(collect)
    if json:
        output.document(rows)
    else:
        output.table(rows, empty=f"{handle} has published nothing yet.")


@resources.command(name="archive")
def archive_resource(handle: str, slug: str, /, *, json: Json = False) -> None:
    """Take a prompt off sale. Its slug stays taken."""
    _switch(handle, slug, versions.archive, json, f"/@{handle}/{slug} is off sale.")


@resources.command(name="restore")
def restore_resource(handle: str, slug: str, /, *, json: Json = False) -> None:
    """Put an archived prompt on sale again."""
    _switch(handle, slug, versions.restore, json, f"/@{handle}/{slug} is on sale again.")


async def _publish(
    conn: db.Connection, creator: accounts.Account, path: Path, content: resource_drafts.Draft, *, allow_loss: bool
) -> publishing.Published:
    try:
        return await publishing.publish(conn, creator.id, content, allow_loss=allow_loss)
    except InvalidInput as refusal:
        fields = _named(path, refusal)
    raise InvalidInput(fields)


async def _row(conn: db.Connection, version: versions.Version) -> dict[str, Any]:
    try:
        await readiness.readiness(conn, version)
        state = "ready" if version.offered_at else "draft"
    except Unavailable as obstacle:
        state = obstacle.code
    return {
        "slug": version.slug,
        "title": version.title,
        "model": version.model_id,
        "modality": version.modality,
        "version": version.number,
        "price_usdc": amounts.usdc(version.price_atomic),
        "worst_cost_usd": amounts.dollars(version.worst_cost_usd),
        "state": state,
    }


def _switch(
    handle: str, slug: str, change: Callable[[db.Connection, Any, str], Awaitable[None]], json: bool, sentence: str
) -> None:
    async def switch(conn: db.Connection) -> bool:
        creator = await owner(conn, handle)
        try:
            await change(conn, creator.id, slug)
        except NotFound:
            return False
        return True

    if not in_transaction(switch):
        raise InvalidInput({"slug": f"{handle} has no resource {slug}"})
    if json:
        output.document({"handle": handle, "slug": slug})
    else:
        output.line(sentence)


def _read_draft(path: Path) -> resource_drafts.Draft:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
        if isinstance(values, dict):
            return resource_drafts.read(values)
        fields = {str(path): "must be a mapping of fields, such as `slug: haiku`"}
    except UnicodeDecodeError:
        fields = {str(path): "is not UTF-8 text"}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        fields = {str(path): f"is not YAML, from line {mark.line + 1}" if mark else "is not YAML"}
    except InvalidInput as refusal:
        fields = _named(path, refusal)
    raise InvalidInput(fields)


def _named(path: Path, refusal: InvalidInput) -> dict[str, str]:
    return {f"{path}: {field}": sentence for field, sentence in refusal.fields.items()}
