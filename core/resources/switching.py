"""Move a prompt to another model: a version that is tried first, and offered only after that.

Functions take a connection and do not commit.
"""

from dataclasses import dataclass
from uuid import UUID

from core import db
from core.catalog.model import ID
from core.db.queries.resource import ResourceRow, sql
from core.failures import InvalidInput, NotFound
from core.resources import estimates, publishing, versions
from core.resources.versions import Version
from core.settings import settings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that is not on offer yet, and the one that is.

    Attributes:
        price_floor_atomic: the lowest price, in atomic USDC, that is no certain loss on the new model.
        warnings: sentences for the creator about what may be unintended.
    """

    version: Version
    current: Version
    price_floor_atomic: int
    warnings: tuple[str, ...]


async def prepare(conn: db.Connection, account_id: UUID, slug: str, model_id: str) -> Candidate:
    """Add a version of a resource on another model, without offering it. All else stays as it is on offer.

    The checks are those of publishing. Agreeing to a certain loss is a matter of publishing: here it is refused.

    Raises:
        NotFound: this creator sells no such resource.
        InvalidInput: names `model`, or each field that the model cannot serve.
        ExecutionFailed: template_unreadable (our fault).
    """
    if not ID.fullmatch(model_id):
        raise InvalidInput({"model": "must be the id of a model, such as openai/gpt-5-mini"})
    resource, current = await _lock(conn, account_id, slug)
    if current.model_id == model_id:
        raise InvalidInput({"model": f"{slug} is on {model_id} already"})
    others = tuple(other for other in current.fallbacks if other != model_id)
    draft = versions.draft_of(current).model_copy(update={"model": model_id, "fallbacks": others})
    checked = await publishing.check(conn, account_id, draft)
    told = checked.warnings
    if others != current.fallbacks:
        left = f"only {' and '.join(others)} left" if others else "none left"
        told = (f"{model_id} was a fallback of {slug} and is its model now, so there is {left} to fall back to", *told)
    version_id, _ = await publishing.add_version(
        conn, account_id, resource.id, draft, checked.worst_cost_usd, allow_loss=False
    )
    floor = estimates.lowest_price_atomic(checked.least_cost_usd)
    return Candidate(await versions.version(conn, version_id), current, floor, tuple(told))


async def offer(conn: db.Connection, candidate: Candidate) -> None:
    """Put a candidate on sale, unless its resource was changed since, or it may not be published any more.

    Raises:
        InvalidInput: names what prevents it; then nothing changes.
    """
    version = candidate.version
    _, current = await _lock(conn, version.account_id, version.slug)
    if current.version_id != candidate.current.version_id:
        raise InvalidInput({"slug": f"{version.slug} was published anew during the test, so this changed nothing"})
    await publishing.offer(conn, version, current, allow_loss=False, allow_breaking=False)


def sample_inputs(version: Version) -> dict[str, str]:
    """Make up a value for each input that a buyer must send: its description, or its name if it has none."""
    limit = settings().value_limit
    return {
        parameter.name: parameter.sample(limit)
        for parameter in version.parameters
        if parameter.required and parameter.default is None
    }


async def _lock(conn: db.Connection, account_id: UUID, slug: str) -> tuple[ResourceRow, Version]:
    resource = await sql.lock(conn, account_id=account_id, slug=slug)
    if resource is None or resource.version_id is None:
        raise NotFound
    if resource.archived:
        raise InvalidInput({"slug": f"{slug} is archived; restore it before moving it to another model"})
    return resource, await versions.version(conn, resource.version_id)
