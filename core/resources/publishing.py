"""Publish prompts, in versions that never change."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

from core import db
from core.amounts import usdc
from core.catalog import search as catalog
from core.catalog.model import Model
from core.db.queries.repricing import sql as repricing_sql
from core.db.queries.resource import sql
from core.failures import ExecutionFailed, InvalidInput
from core.resources import compatibility, fallbacks, margins, template
from core.resources import draft as drafts
from core.resources.call_cost import refuse_certain_loss
from core.resources.draft import Draft
from core.resources.versions import TEMPLATE_COLUMN, Version, draft_of, open_template, version
from core.secrets.vault import vault

# Atomic USDC, and which clients pay no more by default; the highest first.
_CLIENTS_PAY = {1_000_000: "most clients", 100_000: "older clients, such as x402-fetch and x402-axios,"}

T = TypeVar("T")

_AS_WRITTEN = (
    *("title", "description", "modality", "parameters", "allows_user_message", "max_output_tokens", "temperature"),
    *("timeout_seconds", "price_atomic", "zdr", "answer_schema", "truncated_from_characters", "reasoning_effort"),
    *("prompt_shield", "inputs_in", "providers", "fallbacks", "tags", "icon", "example", "listed"),
)
# While one of them is wrong, nothing is said about a loss.
COSTING = frozenset({"template", "model", "parameters", "modality", "max_output_tokens", "price_usdc", "fallbacks"})
"""The fields that the cost of a call depends on."""


@dataclass(frozen=True, slots=True)
class Published:
    """The result of publishing.

    Attributes:
        is_new: False if the current version is identical.
        warnings: sentences for the creator about what may be unintended.
    """

    resource_id: UUID
    version_id: UUID
    number: int
    worst_cost_usd: Decimal
    warnings: tuple[str, ...]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """A draft that may be published.

    Attributes:
        worst_cost_usd: the most that one call can cost, in US dollars.
        least_cost_usd: what nearly every call costs at least; a lower price is a certain loss.
        costs: what a call usually and really costs.
        is_certain_loss: whether the price is lower, which its creator agreed to.
        warnings: sentences for the creator about what may be unintended.
    """

    worst_cost_usd: Decimal
    least_cost_usd: Decimal
    costs: margins.Costs
    is_certain_loss: bool
    warnings: tuple[str, ...]


async def publish(
    conn: db.Connection, account_id: UUID, draft: Draft, *, allow_loss: bool = False, allow_breaking: bool = False
) -> Published:
    """Put a draft on sale: as a new resource, or as the next version of the one with that slug.

    Publishing an identical draft changes nothing; the last sync has already repriced its version. Agreeing to a certain
    loss is a change, and makes a new version.

    Args:
        conn: the transaction; the resource is locked until it ends.
        account_id: the creator.
        draft: the prompt.
        allow_loss: publish even if nearly every call costs more than the price.
        allow_breaking: publish even if requests that buyers' programs send today would be refused.

    Raises:
        InvalidInput: names each field that prevents publishing.
    """
    checked = await check(conn, account_id, draft, allow_loss=allow_loss)
    worst = checked.worst_cost_usd
    resource = await sql.take(conn, id=uuid4(), account_id=account_id, slug=draft.slug, **draft.caps)
    if resource.archived:
        raise InvalidInput({"slug": f"{draft.slug} is archived; restore it before publishing a new version"})
    all_warnings = (*checked.warnings, *await margins.cap_warnings(conn, resource.id, worst))
    if resource.version_id is not None:
        current = await version(conn, resource.version_id)
        if is_same(current, draft) and current.worst_cost_usd == worst and (current.allows_loss or not allow_loss):
            return Published(resource.id, current.version_id, current.number, worst, all_warnings, is_new=False)
        if not allow_breaking:
            await compatibility.refuse_breaking(conn, current, draft)
    version_id, number = await add_version(conn, account_id, resource.id, draft, worst, allow_loss=allow_loss)
    await sql.offer(conn, id=resource.id, version_id=version_id, allows_loss=allow_loss)
    return Published(resource.id, version_id, number, worst, all_warnings, is_new=True)


async def offer(
    conn: db.Connection, wanted: Version, current: Version | None, *, allow_loss: bool, allow_breaking: bool
) -> Checked:
    """Put a version that there is on sale, with the checks of publishing: a draft, or one that was sold before.

    Args:
        conn: the transaction, in which the resource is locked.
        wanted: the version.
        current: the version on offer now, if there is one.
        allow_loss: as in `publish`; a version whose creator agreed once needs no new consent.
        allow_breaking: as in `publish`.

    Raises:
        InvalidInput: names each field that prevents it.
        ExecutionFailed: template_unreadable (our fault).
    """
    draft = draft_of(wanted)
    checked = await check(
        conn,
        wanted.account_id,
        draft,
        allow_loss=allow_loss or bool(wanted.allows_loss),
        current=None if allow_breaking else current,
    )
    await sql.offer(conn, id=wanted.resource_id, version_id=wanted.version_id, allows_loss=allow_loss)
    # Syncs reprice only what is on offer.
    await repricing_sql.reprice(
        conn,
        version_id=wanted.version_id,
        worst_cost_usd=checked.worst_cost_usd,
        is_certain_loss=checked.is_certain_loss,
    )
    capped = await margins.cap_warnings(conn, wanted.resource_id, checked.worst_cost_usd)
    return replace(checked, warnings=(*checked.warnings, *capped))


async def check(
    conn: db.Connection, account_id: UUID, draft: Draft, *, allow_loss: bool = False, current: Version | None = None
) -> Checked:
    """Check whether a draft may be published now, and keep syncs from changing prices until the commit.

    Args:
        conn: the transaction.
        account_id: the creator.
        draft: the prompt.
        allow_loss: whether nearly every call may cost more than the price.
        current: the version on offer, whose buyers' requests must go on to be accepted; None: any may break.

    Raises:
        InvalidInput: names each field that prevents publishing.
    """
    reading = drafts.Reading(draft, {}, frozenset())
    return await _check(conn, account_id, reading, allow_loss=allow_loss, current=current)


async def read(
    conn: db.Connection, account_id: UUID, values: Mapping[str, object], *, allow_loss: bool = False
) -> tuple[Draft, Checked]:
    """Read a draft from the values of a file or a request, and check it as `check` does.

    Raises:
        InvalidInput: names each wrong field at once, of the form, the model, the template and the cost.
    """
    reading = drafts.read_all(values)
    return reading.draft, await _check(conn, account_id, reading, allow_loss=allow_loss)


async def _check(
    conn: db.Connection,
    account_id: UUID,
    reading: drafts.Reading,
    *,
    allow_loss: bool,
    current: Version | None = None,
) -> Checked:
    draft, problems = reading.draft, dict(reading.problems)
    models, unused = list[Model](), tuple[str, ...]()
    if "model" not in reading.wrong:
        models, unsupported = await fallbacks.find_models(conn, draft)
        problems |= {name: told for name, told in unsupported.items() if name.partition(".")[0] not in reading.wrong}
    if reading.wrong.isdisjoint({"template", "parameters"}):
        unused = _gather(problems, partial(template.check_template, draft.template, draft.parameters)) or ()
    if models and not allow_loss and reading.wrong.isdisjoint(COSTING):
        for model in models:
            _gather(problems, partial(refuse_certain_loss, draft, model))
    if current is not None and "parameters" not in reading.wrong:
        problems |= await compatibility.breaking(conn, current, draft)
    if problems:
        raise InvalidInput(problems)
    costs = await margins.costs(conn, account_id, draft, models)
    all_warnings = (
        *(f"The template has no tag for the parameter {name}" for name in unused),
        *fallbacks.warnings(draft, models),
        *margins.warnings(draft, costs),
        *await _far_dearer(conn, draft),
        *_price_warnings(draft.price_atomic),
    )
    return Checked(
        fallbacks.worst_cost_usd(draft, models),
        fallbacks.least_cost_usd(draft, models),
        costs,
        fallbacks.is_certain_loss(draft, models),
        all_warnings,
    )


def _gather(problems: dict[str, str], check_one: Callable[[], T]) -> T | None:
    """Run a check, and note what it refuses beside what is known to be wrong already."""
    try:
        return check_one()
    except InvalidInput as refusal:
        for field, sentence in refusal.fields.items():
            problems.setdefault(field, sentence)
    return None


async def add_version(
    conn: db.Connection, account_id: UUID, resource_id: UUID, draft: Draft, worst: Decimal, *, allow_loss: bool
) -> tuple[UUID, int]:
    """Add a version of a locked resource, without offering it; return its id and number.

    A version that is never offered keeps its number.
    """
    version_id = uuid4()
    plain = draft.template.encode()
    number = await sql.add_version(
        conn,
        id=version_id,
        resource_id=resource_id,
        title=draft.title,
        description=draft.description,
        modality=draft.modality,
        model_id=draft.model,
        sealed_template=vault().seal(plain, account=account_id, column=TEMPLATE_COLUMN, row=version_id),
        parameters=json.dumps([parameter.model_dump() for parameter in draft.parameters]),
        allows_user_message=draft.allows_user_message,
        max_output_tokens=draft.max_output_tokens,
        temperature=draft.temperature,
        timeout_seconds=draft.timeout_seconds,
        price_atomic=draft.price_atomic,
        worst_cost_usd=worst,
        zdr=draft.zdr,
        answer_schema=draft.answer_schema,
        truncated_from_characters=draft.truncated_from_characters,
        reasoning_effort=draft.reasoning_effort,
        prompt_shield=draft.prompt_shield,
        inputs_in=draft.inputs_in,
        fallbacks=list(draft.fallbacks),
        providers=None if draft.providers is None else json.dumps(draft.providers.as_request()),
        allows_loss=allow_loss,
        tags=list(draft.tags),
        icon=draft.icon,
        example=None if draft.example is None else draft.example.model_dump_json(),
        listed=draft.listed,
    )
    return version_id, number


async def _far_dearer(conn: db.Connection, draft: Draft) -> list[str]:
    cheaper = await catalog.far_cheaper(conn, draft.model, draft.modality)
    if cheaper is None:
        return []
    return [
        f"{draft.model} costs at least ten times as much as {cheaper.id}, the cheapest model that is recommended for "
        f"{draft.modality} here; an estimate compares them for this prompt"
    ]


def _price_warnings(price_atomic: int) -> list[str]:
    """Warn of a price above what buyers' clients pay without being asked."""
    for most, clients in _CLIENTS_PAY.items():
        if price_atomic > most:
            return [f"Above {usdc(most)} USDC {clients} refuse to pay unless their owner allows more"]
    return []


def is_same(current: Version, draft: Draft) -> bool:
    """Whether a version is what this draft would be."""
    if current.model_id != draft.model:
        return False
    if any(getattr(current, name) != getattr(draft, name) for name in _AS_WRITTEN):
        return False
    try:
        return open_template(current).reveal() == draft.template
    except ExecutionFailed:
        # A creator repairs a template that can no longer be opened by publishing it again.
        return False
