"""Save several prompts of a creator in one transaction: all of them, or none.

Functions take a connection and do not commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core import db
from core.failures import InvalidInput, SlugTaken
from core.resources import editing, publishing, readiness, versions
from core.resources.versions import Version

MOST = 100
"""The most prompts of one batch."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One prompt after the change.

    Attributes:
        version: what was saved, or is on sale.
        worst_cost_usd: the most that one call can cost, in US dollars.
        warnings: sentences for the creator about what may be unintended.
        is_new: False if it was so already.
        obstacle: why it is not sold now, as `readiness.why_not_sold` says; None if it is.
    """

    version: Version
    worst_cost_usd: Decimal
    warnings: tuple[str, ...]
    is_new: bool
    obstacle: str | None


async def keep(
    conn: db.Connection,
    account_id: UUID,
    documents: Sequence[Mapping[str, object]],
    *,
    as_drafts: bool = False,
    only_new: bool = False,
    allow_loss: bool = False,
    allow_breaking: bool = False,
) -> list[Kept]:
    """Put documents on sale, or save them as drafts.

    Args:
        conn: the transaction. Roll it back after any error.
        account_id: the creator.
        documents: the prompts.
        as_drafts: only save them, for publishing later.
        only_new: as drafts of new resources; a slug that is taken is refused.
        allow_loss: publish even if nearly every call costs more than the price.
        allow_breaking: publish even if requests that buyers' programs send today would be refused.

    Returns:
        What became of each, in their order.

    Raises:
        InvalidInput: names each wrong field of the first document that is refused, as `N.field`; N counts from 0.
    """
    kept: dict[int, Kept] = {}
    # In the order of their slugs, so that two batches of one creator do not wait for each other.
    for number in sorted(range(len(documents)), key=lambda number: str(documents[number].get("slug"))):
        try:
            if as_drafts or only_new:
                saved = await (editing.create if only_new else editing.keep)(conn, account_id, documents[number])
                version, checked = saved.resource.version, saved.checked
                worst_usd, warnings, is_new = checked.worst_cost_usd, checked.warnings, saved.is_new
            else:
                draft, _ = await publishing.read(conn, account_id, documents[number], allow_loss=allow_loss)
                published = await publishing.publish(
                    conn, account_id, draft, allow_loss=allow_loss, allow_breaking=allow_breaking
                )
                version = await versions.version(conn, published.version_id)
                worst_usd, warnings, is_new = published.worst_cost_usd, published.warnings, published.is_new
            obstacle = await readiness.why_not_sold(conn, version)
            kept[number] = Kept(version, worst_usd, warnings, is_new, obstacle)
        except SlugTaken as taken:
            fields = {f"{number}.slug": f"{taken.slug} is taken already, also if that resource is archived"}
        except InvalidInput as refusal:
            fields = {f"{number}.{field}": sentence for field, sentence in refusal.fields.items()}
        else:
            continue
        raise InvalidInput(fields)
    return [kept[number] for number in range(len(documents))]
