"""Create and change a creator's prompts: drafts, which are never for sale, publishing them, and going back.

A draft is a version that is not on offer. A resource has at most one; saving makes a new one, and the versions before
it stay. Functions take a connection and do not commit.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

from core import db
from core.db.queries.resource import HistoryRow as HistoryRow
from core.db.queries.resource import ResourceRow, sql
from core.failures import Changed, InvalidInput, NotFound, SlugTaken
from core.resources import document, publishing, versions
from core.resources.draft import CAPS, Draft
from core.resources.publishing import Checked
from core.resources.versions import Version

State = Literal["draft", "on_offer", "archived"]


@dataclass(frozen=True, slots=True)
class Resource:
    """A creator's own resource, and the version that a request is about.

    Attributes:
        row: the resource: which versions are its draft and its offer, its revision, and its caps.
        version: by default the draft, or what is on offer if there is none.
        offered: the number of the version on offer; None if none is.
        drafted: the number of the draft; None if there is none.
    """

    row: ResourceRow
    version: Version
    offered: int | None
    drafted: int | None

    @property
    def state(self) -> State:
        """Whether the resource is for sale."""
        if self.row.archived:
            return "archived"
        return "draft" if self.row.version_id is None else "on_offer"


@dataclass(frozen=True, slots=True)
class Saved:
    """A resource after a change; `is_new` is False if that made no new version."""

    resource: Resource
    checked: Checked
    is_new: bool


async def create(conn: db.Connection, account_id: UUID, values: Mapping[str, object]) -> Saved:
    """Make a new resource of a first draft.

    A draft may sell at a certain loss; only publishing refuses that.

    Raises:
        InvalidInput: names each wrong field.
        SlugTaken: this creator has a resource with that slug, which may be archived.
    """
    draft, checked = await publishing.read(conn, account_id, values, allow_loss=True)
    resource_id = uuid4()
    created = await sql.create(conn, id=resource_id, account_id=account_id, slug=draft.slug, **draft.caps)
    if created is None:
        raise SlugTaken(draft.slug)
    await _keep(conn, account_id, resource_id, draft, checked)
    return Saved(await find(conn, account_id, draft.slug), checked, is_new=True)


async def keep(conn: db.Connection, account_id: UUID, values: Mapping[str, object]) -> Saved:
    """Save a whole document as the draft of a new resource, or of the one that has its slug.

    Raises:
        InvalidInput: names each wrong field.
    """
    try:
        return await create(conn, account_id, values)
    except SlugTaken as taken:
        slug = taken.slug
    return await replace(conn, account_id, slug, values, revisions=None)


async def replace(
    conn: db.Connection, account_id: UUID, slug: str, values: Mapping[str, object], *, revisions: Collection[int] | None
) -> Saved:
    """Save a whole document as the new draft of a resource. Its caps, which no version has, change at once.

    Args:
        conn: the transaction; the resource is locked until it ends.
        account_id: the creator.
        slug: the resource, whose slug never changes.
        values: the document.
        revisions: those that the creator saw; None: any.

    Raises:
        InvalidInput: names each wrong field.
        NotFound: this creator has no such resource.
        Changed: it was changed since that revision.
    """
    resource = await lock(conn, account_id, slug, revisions=revisions)
    draft, checked = await publishing.read(conn, account_id, {"slug": slug} | dict(values), allow_loss=True)
    if draft.slug != slug:
        raise InvalidInput({"slug": f"is {slug} for ever; a prompt at another address is another resource"})
    on_offer = resource.row.version_id
    # What is saved again as it was is no new version.
    for version_id in filter(None, {resource.version.version_id, on_offer}):
        same = await versions.version(conn, version_id)
        if publishing.is_same(same, draft):
            draft_id = None if version_id == on_offer else version_id
            await sql.keep_draft(conn, id=resource.row.id, draft_id=draft_id, **draft.caps)
            return Saved(await find(conn, account_id, slug), checked, is_new=False)
    await _keep(conn, account_id, resource.row.id, draft, checked)
    return Saved(await find(conn, account_id, slug), checked, is_new=True)


async def change(
    conn: db.Connection,
    account_id: UUID,
    slug: str,
    changes: Mapping[str, object],
    *,
    revisions: Collection[int] | None,
) -> Saved:
    """Change some fields of the draft, or of what is on offer if there is none, as `replace` does.

    Args:
        conn: the transaction.
        account_id: the creator.
        slug: the resource.
        changes: new values by the name of the field; None returns a field to its default (RFC 7396, at the top level).
        revisions: those that the creator saw; None: any.

    Raises:
        InvalidInput, NotFound, Changed: as `replace`.
        ExecutionFailed: template_unreadable (our fault).
    """
    resource = await lock(conn, account_id, slug, revisions=revisions)
    values = document_of(resource) | dict(changes)
    kept = {name: value for name, value in values.items() if name not in changes or changes[name] is not None}
    return await replace(conn, account_id, slug, kept, revisions=None)


async def publish(
    conn: db.Connection,
    account_id: UUID,
    slug: str,
    *,
    number: int | None = None,
    revisions: Collection[int] | None = None,
    allow_loss: bool = False,
    allow_breaking: bool = False,
) -> Saved:
    """Put the draft, or any other version of a resource, on sale; an earlier version is a rollback.

    Args:
        conn: the transaction; the resource is locked until it ends.
        account_id: the creator.
        slug: the resource.
        number: of the version; None: the draft, or what is on offer already.
        revisions: those that the creator saw; None: any.
        allow_loss: even if nearly every call costs more than the price.
        allow_breaking: even if requests that buyers' programs send today would be refused.

    Raises:
        InvalidInput: names each field that prevents it.
        NotFound: this creator has no such resource or version.
        Changed: it was changed since that revision.
        ExecutionFailed: template_unreadable (our fault).
    """
    resource = await lock(conn, account_id, slug, number=number, revisions=revisions)
    if resource.row.archived:
        raise InvalidInput({"slug": f"{slug} is archived; restore it before publishing a version"})
    wanted, on_offer = resource.version, resource.row.version_id
    current = None if on_offer is None else await versions.version(conn, on_offer)
    checked = await publishing.offer(conn, wanted, current, allow_loss=allow_loss, allow_breaking=allow_breaking)
    return Saved(await find(conn, account_id, slug), checked, is_new=wanted.version_id != on_offer)


async def switch(
    conn: db.Connection, account_id: UUID, slug: str, *, is_archived: bool, revisions: Collection[int] | None = None
) -> Resource:
    """Take a resource off sale, or put it on sale again with its last version. To repeat this changes nothing.

    Raises:
        NotFound: this creator has no such resource.
        Changed: it was changed since those revisions.
    """
    await lock(conn, account_id, slug, revisions=revisions)
    await (versions.archive if is_archived else versions.restore)(conn, account_id, slug)
    return await find(conn, account_id, slug)


async def find(conn: db.Connection, account_id: UUID, slug: str, *, number: int | None = None) -> Resource:
    """Read a resource and one of its versions; None: the draft, or what is on offer if there is none.

    Raises:
        NotFound: this creator has no such resource or version.
    """
    row = await sql.find(conn, account_id=account_id, slug=slug)
    return await _resource(conn, row, number)


async def lock(
    conn: db.Connection,
    account_id: UUID,
    slug: str,
    *,
    number: int | None = None,
    revisions: Collection[int] | None = None,
) -> Resource:
    """Read a resource as `find` does, and lock it until the transaction ends.

    Raises:
        NotFound: this creator has no such resource or version.
        Changed: it was changed since that revision.
    """
    row = await sql.lock(conn, account_id=account_id, slug=slug)
    if row is not None and revisions is not None and row.revision not in revisions:
        raise Changed
    return await _resource(conn, row, number)


async def history(conn: db.Connection, resource: Resource) -> list[HistoryRow]:
    """List the versions of a resource, newest first."""
    return [row async for row in sql.history(conn, resource_id=resource.row.id)]


def state_of(resource: Resource, row: HistoryRow) -> Literal["on_offer", "draft", "replaced", "unused"]:
    """Say what a version is now; unused: it was never on offer, and is not the draft any more."""
    if row.number == resource.offered:
        return "on_offer"
    if row.number == resource.drafted:
        return "draft"
    return "replaced" if row.offered_at else "unused"


def document_of(resource: Resource) -> dict[str, object]:
    """Return the document of the resource's version, template included, as it could be saved again.

    Raises:
        ExecutionFailed: template_unreadable (our fault).
    """
    return document.of_draft(draft_of(resource))


def draft_of(resource: Resource) -> Draft:
    """Return the resource's version as a draft with the resource's caps, template included.

    Raises:
        ExecutionFailed: template_unreadable (our fault).
    """
    draft = versions.draft_of(resource.version)
    return draft.model_copy(update={name: getattr(resource.row, name) for name in CAPS})


async def _keep(conn: db.Connection, account_id: UUID, resource_id: UUID, draft: Draft, checked: Checked) -> None:
    version_id, _ = await publishing.add_version(
        conn, account_id, resource_id, draft, checked.worst_cost_usd, allow_loss=False
    )
    await sql.keep_draft(conn, id=resource_id, draft_id=version_id, **draft.caps)


async def _resource(conn: db.Connection, row: ResourceRow | None, number: int | None) -> Resource:
    if row is None:
        raise NotFound
    offered, drafted = [
        None if version_id is None else await versions.version(conn, version_id)
        for version_id in (row.version_id, row.draft_id)
    ]
    shown = drafted or offered
    if number is not None:
        version_id = await sql.numbered(conn, resource_id=row.id, number=number)
        shown = None if version_id is None else await versions.version(conn, version_id)
    if shown is None:
        raise NotFound
    return Resource(row, shown, *(None if one is None else one.number for one in (offered, drafted)))
