"""`instant resources`: publish, list, archive and restore a creator's prompts."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from cyclopts import App
from cyclopts.types import ExistingFile

from cli import output
from cli.executions import switch_model, try_resource
from cli.resource_versions import diff_versions, import_older, list_versions, publish_resource, show_resource
from cli.shared import Flag, Json, in_transaction, owner
from core import amounts, db
from core.accounts import accounts
from core.failures import InvalidInput, NotFound, Unavailable
from core.resources import departures, document, editing, estimates, publishing, readiness, versions
from core.resources import draft as resource_drafts
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
    documents = sorted(((path, _read_file(path)) for path in files), key=lambda pair: str(pair[1].get("slug")))

    async def publish(conn: db.Connection) -> list[dict[str, Any]]:
        creator = await owner(conn, handle)
        async with conn.transaction(force_rollback=dry_run):
            return [
                await _keep(conn, creator, path, values, draft, allow_loss=allow_loss, allow_breaking=allow_breaking)
                for path, values in documents
            ]

    published = in_transaction(publish)
    if json:
        output.document(published)
        return
    done = (
        "could be saved" if draft and dry_run else "a draft" if draft else "to go on sale" if dry_run else "on sale now"
    )
    for one in published:
        state = done if one["is_new"] else "unchanged"
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


async def _keep(
    conn: db.Connection,
    creator: accounts.Account,
    path: Path,
    values: dict[str, object],
    is_draft: bool,
    *,
    allow_loss: bool,
    allow_breaking: bool,
) -> dict[str, Any]:
    """Publish one file, or save it as a draft; every refusal names the file."""
    try:
        if is_draft:
            saved = await editing.keep(conn, creator.id, values)
            sold, worst, warnings = saved.resource.version, saved.checked.worst_cost_usd, saved.checked.warnings
            is_new = saved.is_new
        else:
            content, _ = await publishing.read(conn, creator.id, values, allow_loss=allow_loss)
            published = await publishing.publish(
                conn, creator.id, content, allow_loss=allow_loss, allow_breaking=allow_breaking
            )
            sold = await versions.version(conn, published.version_id)
            worst, warnings, is_new = published.worst_cost_usd, published.warnings, published.is_new
    except InvalidInput as refusal:
        fields = _named(path, refusal)
    else:
        return {
            "url": f"{settings().public_url}/@{creator.handle}/{sold.slug}",
            "price_usdc": amounts.usdc(sold.price_atomic),
            "resource_id": sold.resource_id,
            "version_id": sold.version_id,
            "number": sold.number,
            "worst_cost_usd": worst,
            "warnings": warnings,
            "is_new": is_new,
        }
    raise InvalidInput(fields)


async def _row(conn: db.Connection, version: versions.Version) -> dict[str, Any]:
    try:
        await readiness.readiness(conn, version)
        state = "ready"
    except Unavailable as obstacle:
        state = obstacle.code
    if versions.state(version) == "draft":
        state = "draft"
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


def _read_file(path: Path) -> dict[str, object]:
    try:
        return document.read_text(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        fields = {str(path): "is not UTF-8 text"}
    except InvalidInput as refusal:
        fields = {str(path): sentence for sentence in refusal.fields.values()}
    raise InvalidInput(fields)


def _read_draft(path: Path) -> resource_drafts.Draft:
    try:
        return resource_drafts.read(_read_file(path))
    except InvalidInput as refusal:
        fields = refusal.fields if str(path) in refusal.fields else _named(path, refusal)
    raise InvalidInput(fields)


def _named(path: Path, refusal: InvalidInput) -> dict[str, str]:
    return {f"{path}: {field}": sentence for field, sentence in refusal.fields.items()}
