"""`instant resources show`, `publish`, `versions`, `diff`, `offer` and `import`: drafts, versions and the way back."""

from pathlib import Path
from typing import Any

from cyclopts.types import ExistingFile

from cli import output
from cli.shared import Flag, Json, in_transaction, owner
from core import amounts, db
from core.failures import InvalidInput, NotFound, SlugTaken
from core.resources import document, editing, older_prompts


def show_resource(handle: str, slug: str, /, *, version: int | None = None, json: Json = False) -> None:
    """Print the document of a prompt, template included, as a file that can be published again.

    Args:
        handle: the creator.
        slug: the prompt.
        version: which; by default the draft, or what is on offer if there is none.
        json: print JSON, which is the same document.
    """
    found = in_transaction(lambda conn: _document(conn, handle, slug, version))
    if json:
        output.document(found)
    else:
        output.line(document.as_yaml(found).rstrip())


def publish_resource(
    handle: str,
    slug: str,
    /,
    *,
    version: int | None = None,
    dry_run: Flag = False,
    allow_loss: Flag = False,
    allow_breaking: Flag = False,
    json: Json = False,
) -> None:
    """Put the draft of a prompt on sale, or any version of it: an earlier one is a rollback.

    Args:
        handle: the creator.
        slug: the prompt.
        version: which; by default the draft.
        dry_run: change nothing, and say everything that publishing would.
        allow_loss: publish even if nearly every call costs more than the price.
        allow_breaking: publish even if requests that buyers' programs send today would be refused.
        json: print JSON.
    """

    async def publish(conn: db.Connection) -> editing.Saved:
        creator = await owner(conn, handle)
        try:
            async with conn.transaction(force_rollback=dry_run):
                return await editing.publish(
                    conn, creator.id, slug, number=version, allow_loss=allow_loss, allow_breaking=allow_breaking
                )
        except NotFound:
            pass
        raise _unknown(handle, slug, version)

    saved = in_transaction(publish)
    sold = saved.resource.version
    facts = {
        "version": sold.number,
        "is_new": saved.is_new,
        "dry_run": dry_run,
        "price_usdc": amounts.usdc(sold.price_atomic),
        "worst_cost_usd": saved.checked.worst_cost_usd,
        "warnings": saved.checked.warnings,
    }
    if json:
        output.document(facts)
        return
    would = "could go on sale" if dry_run else "is on sale now"
    cost = amounts.dollars(saved.checked.worst_cost_usd)
    output.line(
        f"/@{handle}/{slug} version {sold.number} {would}: {facts['price_usdc']} USDC, a call costs at most ${cost}"
    )
    for warning in saved.checked.warnings:
        output.remark(f"  warning: {warning}")


def list_versions(handle: str, slug: str, /, *, json: Json = False) -> None:
    """List the versions of a prompt, newest first."""

    async def collect(conn: db.Connection) -> list[dict[str, Any]]:
        resource = await _find(conn, handle, slug, None)
        return [
            {
                "version": row.number,
                "state": editing.state_of(resource, row),
                "title": row.title,
                "model": row.model_id,
                "price_usdc": amounts.usdc(row.price_atomic),
                "created_at": row.created_at,
            }
            for row in await editing.history(conn, resource)
        ]

    rows = in_transaction(collect)
    if json:
        output.document(rows)
    else:
        output.table(rows, empty="")


def diff_versions(handle: str, slug: str, version: int, /, against: int | None = None, *, json: Json = False) -> None:
    """Show how a version of a prompt differs from another, by default from the one before."""
    other = against or version - 1
    before = in_transaction(lambda conn: _document(conn, handle, slug, other)) if other else {}
    after = in_transaction(lambda conn: _document(conn, handle, slug, version))
    found = document.differences(before, after)
    if json:
        output.document(found)
        return
    for one in found:
        if "lines" in one:
            output.line("template:\n" + "\n".join(map(str, one["lines"] if isinstance(one["lines"], list) else ())))
        else:
            output.line(f"{one['field']}: {one['before']} -> {one['after']}")


def import_older(handle: str, file: ExistingFile, /, *, model: str | None = None, json: Json = False) -> None:
    """Make drafts of prompts of x402.jobs, all or none, and say what differs. Nothing is put on sale.

    Args:
        handle: the creator.
        file: JSON of rows of x402_resources, of the kinds prompt_template and openrouter_instant.
        model: the model to sell them on, instead of what they name.
        json: print JSON.
    """
    rows = older_prompts.read_rows(Path(file).read_text(encoding="utf-8"))

    async def keep(conn: db.Connection) -> list[dict[str, Any]]:
        creator = await owner(conn, handle)
        kept = []
        for number, row in enumerate(rows, start=1):
            name = str(row.get("slug") or row.get("name") or number)
            try:
                older = older_prompts.convert(row, model)
                saved = await editing.create(conn, creator.id, older.document)
            except InvalidInput as refusal:
                fields = {f"{name}: {field}": sentence for field, sentence in refusal.fields.items()}
            except SlugTaken:
                fields = {f"{name}: slug": f"{handle} has a resource with that slug already"}
            else:
                warnings = saved.checked.warnings
                slug = saved.resource.row.slug
                kept.append({"slug": slug, "differences": older.differences, "warnings": warnings})
                continue
            raise InvalidInput(fields)
        return kept

    kept = in_transaction(keep)
    if json:
        output.document(kept)
        return
    for one in kept:
        output.line(f"/@{handle}/{one['slug']} is a draft now")
        for sentence in (*one["differences"], *one["warnings"]):
            output.line(f"  {sentence}")


async def _document(conn: db.Connection, handle: str, slug: str, version: int | None) -> dict[str, object]:
    return editing.document_of(await _find(conn, handle, slug, version))


async def _find(conn: db.Connection, handle: str, slug: str, version: int | None) -> editing.Resource:
    creator = await owner(conn, handle)
    try:
        return await editing.find(conn, creator.id, slug, number=version)
    except NotFound:
        pass
    raise _unknown(handle, slug, version)


def _unknown(handle: str, slug: str, version: int | None) -> InvalidInput:
    what = f"resource {slug}" if version is None else f"version {version} of {slug}"
    return InvalidInput({"slug": f"{handle} has no {what}"})
