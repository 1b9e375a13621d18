"""Read versions of resources, validate inputs for them, and archive or restore resources.

Functions take a connection and do not commit.
"""

from collections.abc import Set
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import TypeAdapter

from core import amounts, db
from core.db.queries.resource import CapsRow as CapsRow
from core.db.queries.resource import ResolveRow, VersionRow, sql
from core.db.states import InputsIn, Modality, PromptShield, ReasoningEffort
from core.failures import ExecutionFailed, NotFound, Unreadable
from core.providers.request import Alternative
from core.providers.usage import Prices, TierPrices
from core.resources import attachments, template
from core.resources.draft import Draft, Example
from core.resources.parameters import Parameter
from core.resources.provider_choice import ProviderChoice
from core.secrets.private import Private
from core.secrets.vault import vault
from core.settings import settings

TEMPLATE_COLUMN = "resource_versions.sealed_template"
_ALTERNATIVES = TypeAdapter(tuple[Alternative, ...])


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable version of a resource, with everything that the door and the flow need.

    Attributes:
        handle: the creator's, as in `/@handle/slug`.
        number: counts a resource's versions from 1.
        price_atomic: atomic USDC.
        worst_cost_usd: the most that one call can cost its creator, at the prices of the last sync.
        zdr: whether only providers that keep nothing may answer.
        answer_schema: JSON Schema of every answer, as JSON; None if none is promised.
        truncated_from_characters: the least length of an answer that counts although it was cut off; None if none does.
        reasoning_effort: how hard the model is asked to reason; None: as it does by itself.
        prompt_shield: what happens to an answer that gives the template away; off: nobody looks.
        inputs_in: where buyers' values stand.
        shielded_calls, withheld_calls: paid calls of the resource's versions that block, in the last 30 days, and how
            many of their answers were withheld; from the last count of usage.
        providers: which of the providers behind a router may serve a call; None: any.
        fallbacks: ids of models to ask while its own is unavailable, in order.
        alternatives: those of them that can be called now, with what they are listed with.
        supported_parameters: the parameters that the provider lists for the model now.
        output_modalities: what the provider lists that the model makes now.
        prices: the model's listed prices now; None if unknown.
        archived: whether its resource was off sale when this was read.
        allows_loss: whether its creator agreed to a certain loss; None if that was not recorded.
        tags, icon, example: what buyers find and judge it by.
        listed: whether lists, searches and manifests name it.
        offered_at: when it was first on offer (UTC); None: never, so nobody has a quote of it.
    """

    version_id: UUID
    resource_id: UUID
    account_id: UUID
    handle: str
    slug: str
    number: int
    title: str
    description: str
    modality: Modality
    model_id: str
    parameters: tuple[Parameter, ...]
    allows_user_message: bool
    max_output_tokens: int
    temperature: Decimal | None
    timeout_seconds: int
    price_atomic: int
    worst_cost_usd: Decimal
    zdr: bool
    answer_schema: str | None
    truncated_from_characters: int | None
    reasoning_effort: ReasoningEffort | None
    prompt_shield: PromptShield
    inputs_in: InputsIn
    shielded_calls: int
    withheld_calls: int
    providers: ProviderChoice | None
    fallbacks: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    supported_parameters: tuple[str, ...]
    output_modalities: tuple[str, ...]
    prices: Prices | None
    sealed_template: bytes = field(repr=False)
    archived: bool
    allows_loss: bool | None = None
    tags: tuple[str, ...] = ()
    icon: str | None = None
    example: Example | None = None
    listed: bool = True
    offered_at: datetime | None = None

    @property
    def streams(self) -> bool:
        """Whether buyers may read the text while it is made: nothing has to be checked before it is released."""
        return self.modality == "text" and self.answer_schema is None and self.prompt_shield != "block"

    def __hash__(self) -> int:
        """Hash the id alone: offers are cached by version, and hashing every field would cost as much as the rest."""
        return hash(self.version_id)


async def version(conn: db.Connection, version_id: UUID) -> Version:
    """Read any version by its id, also a replaced or archived one.

    Raises:
        NotFound: there is no such version.
    """
    found = await all_of(conn, {version_id})
    if version_id not in found:
        raise NotFound
    return found[version_id]


async def all_of(conn: db.Connection, version_ids: Set[UUID]) -> dict[UUID, Version]:
    """Read versions by their ids in one query, as `version` does; one that does not exist is left out."""
    rows = sql.versions(conn, version_ids=list(version_ids))
    return {row.version_id: read_row(row) async for row in rows}


def validate_inputs(version: Version, inputs: object) -> dict[str, str]:
    """Validate a buyer's inputs for a version.

    Raises:
        InvalidInput: names each field that does not fit.
    """
    config = settings()
    return template.validate_inputs(
        inputs,
        version.parameters,
        allows_user_message=version.allows_user_message,
        value_limit=config.value_limit,
        inputs_limit=config.inputs_limit,
        file_limit=config.file_limit,
    )


def body_limit(version: Version) -> int:
    """Return the most bytes of a request for a version: more than for text alone only if it takes pictures or files."""
    config = settings()
    sizes = [parameter.most_bytes(config.file_limit) for parameter in version.parameters]
    characters = sum(attachments.most_characters(size) for size in sizes if size)
    # The operator may have raised the limit of one since this was published.
    return config.body_limit + min(characters, attachments.most_characters(attachments.BYTES_LIMIT))


def largest_body_limit() -> int:
    """Return the most bytes of a request for any version, for one that does not say at its address which it is for."""
    return settings().body_limit + attachments.most_characters(attachments.BYTES_LIMIT)


async def listing(conn: db.Connection, account_id: UUID) -> list[Version]:
    """List what a creator sells, or drafts, by slug, archived ones last; a draft has no `offered_at`."""
    return [read_row(row) async for row in sql.listing(conn, account_id=account_id)]


async def caps(conn: db.Connection, account_id: UUID) -> dict[str, CapsRow]:
    """Return the caps of a creator's resources by slug, in US dollars, with what of them is used now."""
    return {row.slug: row async for row in sql.caps(conn, account_id=account_id)}


def state(version: Version) -> Literal["draft", "on_offer", "archived"]:
    """Say whether what `listing` has is for sale; a draft was never published."""
    if version.archived:
        return "archived"
    return "draft" if version.offered_at is None else "on_offer"


async def archive(conn: db.Connection, account_id: UUID, slug: str) -> None:
    """Take a resource off sale; its slug stays taken. Repeating it changes nothing.

    Raises:
        NotFound: this creator has no such resource.
    """
    if not await sql.archive(conn, account_id=account_id, slug=slug):
        raise NotFound


async def restore(conn: db.Connection, account_id: UUID, slug: str) -> None:
    """Put an archived resource on sale again, with its last version. Repeating it changes nothing.

    Raises:
        NotFound: this creator has no such resource.
    """
    if not await sql.restore(conn, account_id=account_id, slug=slug):
        raise NotFound


def open_template(version: Version) -> Private[str]:
    """Open the prompt template.

    Raises:
        ExecutionFailed: template_unreadable (our fault).
    """
    try:
        plain = vault().open(
            version.sealed_template, account=version.account_id, column=TEMPLATE_COLUMN, row=version.version_id
        )
    except Unreadable:
        plain = None
    if plain is None:
        raise ExecutionFailed("resource_unavailable", "ours", "template_unreadable")
    return Private(plain.reveal().decode())


def draft_of(version: Version) -> Draft:
    """Rebuild the draft of a version. It is not validated again, because limits may have been lowered since.

    Raises:
        ExecutionFailed: template_unreadable (our fault).
    """
    fields = {name: getattr(version, name) for name in Draft.model_fields if hasattr(version, name)}
    return Draft.model_construct(
        **fields,
        model=version.model_id,
        price_usdc=amounts.usdc(version.price_atomic),
        template=open_template(version).reveal(),
    )


def read_row(row: VersionRow | ResolveRow) -> Version:
    """A version of its row."""
    return Version(
        version_id=row.version_id,
        resource_id=row.resource_id,
        account_id=row.account_id,
        handle=row.handle,
        slug=row.slug,
        number=row.number,
        title=row.title,
        description=row.description,
        modality=row.modality,
        model_id=row.model_id,
        parameters=tuple(map(Parameter.model_validate, row.parameters)),
        allows_user_message=row.allows_user_message,
        max_output_tokens=row.max_output_tokens,
        temperature=row.temperature,
        timeout_seconds=row.timeout_seconds,
        price_atomic=row.price_atomic,
        worst_cost_usd=row.worst_cost_usd,
        zdr=row.zdr,
        answer_schema=row.answer_schema,
        truncated_from_characters=row.truncated_from_characters,
        reasoning_effort=row.reasoning_effort,
        prompt_shield=row.prompt_shield,
        inputs_in=row.inputs_in,
        shielded_calls=row.shielded_calls,
        withheld_calls=row.withheld_calls,
        providers=None if row.providers is None else ProviderChoice.model_validate(row.providers),
        fallbacks=tuple(row.fallbacks),
        alternatives=_ALTERNATIVES.validate_python(row.alternatives or ()),
        supported_parameters=tuple(row.supported_parameters),
        output_modalities=tuple(row.output_modalities),
        prices=_prices(row),
        sealed_template=row.sealed_template,
        archived=row.archived,
        allows_loss=row.allows_loss,
        tags=tuple(row.tags),
        icon=row.icon,
        example=None if row.example is None else Example.model_validate(row.example),
        listed=row.listed,
        offered_at=row.offered_at,
    )


def _prices(row: VersionRow | ResolveRow) -> Prices | None:
    if row.prompt_usd is None or row.completion_usd is None:
        return None
    tiers = tuple(map(_tier, row.price_tiers))
    return Prices(row.prompt_usd, row.completion_usd, row.request_usd or Decimal(0), tiers)


def _tier(tier: dict[str, str | int]) -> TierPrices:
    """Read one of the prices of longer prompts, as `core.catalog.model.PriceTier` is stored."""
    return TierPrices(
        Decimal(tier["prompt_usd"]),
        Decimal(tier["completion_usd"]),
        Decimal(tier["request_usd"]),
        above=int(tier["above"]),
    )
