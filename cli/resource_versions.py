"""`instant resources show`, `publish`, `versions`, `diff`, `offer` and `import`: drafts, versions and the way back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclopts.types import ExistingFile

from cli import output
from cli.remote import door
from cli.remote import resources as at_door
from cli.shared import Flag, Json, in_transaction, owner, tell_obstacle
from core import amounts, db
from core.failures import InvalidInput, NotFound
from core.resources import batch, document, editing, older_prompts, readiness


@door.anywhere
def show_resource(handle: str, slug: str, /, *, version: int | None = None, json: Json = False) -> None:
    """Print the document of a prompt, template included, as a file that can be published again.

    Args:
        handle: the creator.
        slug: the prompt.
        version: which; by default the draft, or what is on offer if there is none.
        json: print JSON, which is the same document.
    """
    found = _document(handle, slug, version)
    if json:
        output.document(found)
    else:
        output.line(document.as_yaml(found).rstrip())


@door.anywhere
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

    async def publish(conn: db.Connection) -> at_door.Published:
        creator = await owner(conn, handle)
        async with conn.transaction(force_rollback=dry_run):
            saved = await editing.publish(
                conn, creator.id, slug, number=version, allow_loss=allow_loss, allow_breaking=allow_breaking
            )
        sold, checked = saved.resource.version, saved.checked
        price = amounts.usdc(sold.price_atomic)
        obstacle, _ = await readiness.obstacle(conn, sold)
        return at_door.Published(sold.number, saved.is_new, price, checked.worst_cost_usd, checked.warnings, obstacle)

    done = None
    try:
        if door.chosen():
            door.check_handle(handle)
            done = at_door.publish(slug, version, dry_run=dry_run, allow_loss=allow_loss, allow_breaking=allow_breaking)
        else:
            done = in_transaction(publish)
    except NotFound:
        pass
    if done is None:
        raise _unknown(handle, slug, version)
    facts = {
        "version": done.number,
        "is_new": done.is_new,
        "dry_run": dry_run,
        "price_usdc": done.price_usdc,
        "worst_cost_usd": done.worst_cost_usd,
        "warnings": done.warnings,
        "obstacle": done.obstacle,
    }
    if json:
        output.document(facts)
        return
    would = "could be put on offer" if dry_run else "is on offer now"
    cost = amounts.dollars(done.worst_cost_usd)
    output.line(
        f"/@{handle}/{slug} version {done.number} {would}: {done.price_usdc} USDC, a call costs at most ${cost}"
    )
    for warning in done.warnings:
        output.remark(f"  warning: {warning}")
    tell_obstacle(done.obstacle)


@door.anywhere
def list_versions(handle: str, slug: str, /, *, json: Json = False) -> None:
    """List the versions of a prompt, newest first."""

    async def collect(conn: db.Connection) -> list[dict[str, Any]]:
        resource = await editing.find(conn, (await owner(conn, handle)).id, slug)
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

    rows = None
    try:
        if door.chosen():
            door.check_handle(handle)
            rows = at_door.versions(slug)
        else:
            rows = in_transaction(collect)
    except NotFound:
        pass
    if rows is None:
        raise _unknown(handle, slug, None)
    if json:
        output.document(rows)
    else:
        output.table(rows, empty="")


@door.anywhere
def diff_versions(handle: str, slug: str, version: int, /, against: int | None = None, *, json: Json = False) -> None:
    """Show how a version of a prompt differs from another, by default from the one before."""
    other = against or version - 1
    before = _document(handle, slug, other) if other else {}
    after = _document(handle, slug, version)
    found = document.differences(before, after)
    if json:
        output.document(found)
        return
    for one in found:
        if "lines" in one:
            output.line("template:\n" + "\n".join(map(str, one["lines"] if isinstance(one["lines"], list) else ())))
        else:
            output.line(f"{one['field']}: {one['before']} -> {one['after']}")


@door.anywhere
def import_older(handle: str, file: ExistingFile, /, *, model: str | None = None, json: Json = False) -> None:
    """Make drafts of prompts of x402.jobs, all or none, and say what differs. Nothing is put on sale.

    Args:
        handle: the creator.
        file: JSON of rows of x402_resources, of the kinds prompt_template and openrouter_instant.
        model: the model to sell them on, instead of what they name.
        json: print JSON.
    """
    rows = older_prompts.read_rows(Path(file).read_text(encoding="utf-8"))
    names = [str(row.get("slug") or row.get("name") or number) for number, row in enumerate(rows, start=1)]
    older = [_convert(name, row, model) for name, row in zip(names, rows, strict=True)]
    documents = [one.document for one in older]

    async def keep(conn: db.Connection) -> list[dict[str, Any]]:
        kept = await batch.keep(conn, (await owner(conn, handle)).id, documents, only_new=True)
        return [{"slug": one.version.slug, "warnings": one.warnings} for one in kept]

    try:
        if door.chosen():
            door.check_handle(handle)
            kept = at_door.publish_all(documents, only_new=True)
        else:
            kept = in_transaction(keep)
    except InvalidInput as refusal:
        fields = refusal.fields
    else:
        _show_imported(handle, older, kept, json=json)
        return
    raise InvalidInput(batch_fields(fields, names))


def batch_fields(fields: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Name the fields of a refused batch, `N.field`, by the names of its documents; other fields stay as they are."""
    named = {}
    for field, sentence in fields.items():
        number, dot, rest = field.partition(".")
        is_numbered = bool(dot) and number.isdecimal() and int(number) < len(names)
        named[f"{names[int(number)]}: {rest}" if is_numbered else field] = sentence
    return named


def _convert(name: str, row: Mapping[str, object], model: str | None) -> older_prompts.Older:
    try:
        return older_prompts.convert(row, model)
    except InvalidInput as refusal:
        fields = {f"{name}: {field}": sentence for field, sentence in refusal.fields.items()}
    raise InvalidInput(fields)


def _show_imported(
    handle: str, older: Sequence[older_prompts.Older], kept: Sequence[Mapping[str, Any]], *, json: bool
) -> None:
    told = [
        {"slug": one["slug"], "differences": row.differences, "warnings": one["warnings"]}
        for row, one in zip(older, kept, strict=True)
    ]
    if json:
        output.document(told)
        return
    for facts in told:
        output.line(f"/@{handle}/{facts['slug']} is a draft now")
        for sentence in (*facts["differences"], *facts["warnings"]):
            output.line(f"  {sentence}")


def _document(handle: str, slug: str, version: int | None) -> dict[str, object]:
    async def read(conn: db.Connection) -> dict[str, object]:
        return editing.document_of(await editing.find(conn, (await owner(conn, handle)).id, slug, number=version))

    try:
        if door.chosen():
            door.check_handle(handle)
            return at_door.document(slug, version)
        return in_transaction(read)
    except NotFound:
        pass
    raise _unknown(handle, slug, version)


def _unknown(handle: str, slug: str, version: int | None) -> InvalidInput:
    what = f"resource {slug}" if version is None else f"version {version} of {slug}"
    return InvalidInput({"slug": f"{handle} has no {what}"})
