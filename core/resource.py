"""Prompts for sale: resolved by URL, ready or not, opened for a call.

Functions take a connection and do not commit.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from core import db, template
from core.account import KEY_COLUMN
from core.charge import Prices
from core.draft import Modality
from core.failures import ExecutionFailed, NotFound, Unavailable, Unreadable
from core.model import ABSENCE_TOLERATED
from core.private import Private
from core.providers import Provider
from core.settings import settings
from core.template import Parameter
from core.vault import vault

sql = db.load("resource")

TEMPLATE_COLUMN = "resource_versions.sealed_template"


@dataclass(frozen=True, slots=True)
class Version:
    """What exactly is or was sold: everything that the door and the flow need to know about it.

    Attributes:
        handle: the creator's, as in `/@handle/slug`.
        number: counts a resource's versions from 1.
        price_atomic: atomic USDC.
        worst_cost_usd: what one call can cost its creator at most, by the prices of the last sync.
        zdr: whether only providers that keep nothing may answer.
        answer_schema: JSON Schema that every answer fits, as JSON; None where nothing is promised.
        supported_parameters: what the provider lists for the model now.
        prices: what the model is listed at now; None where that is not known.
        archived: whether its resource was off sale when this was read.
        allows_loss: whether its creator agreed to a certain loss; None if that was not recorded.
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
    supported_parameters: tuple[str, ...]
    prices: Prices | None
    sealed_template: bytes = field(repr=False)
    archived: bool
    allows_loss: bool | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A version can be sold now; `payouts` maps each network that is served to the creator's address there."""

    payouts: dict[str, str]


async def resolve(conn: db.Connection, handle: str, slug: str) -> Version:
    """The version on offer at `/@handle/slug`, or the last one that was: what was paid for there is still answered.

    Raises:
        NotFound: if there is none.
    """
    return (await on_sale(conn, handle, slug))[0]


async def on_sale(conn: db.Connection, handle: str, slug: str) -> tuple[Version, Ready | Unavailable]:
    """The same, and whether it could be sold now, as by `readiness`.

    Raises:
        NotFound: if there is none.
    """
    row = await sql.resolve(conn, handle=handle, slug=slug, absence_tolerated=ABSENCE_TOLERATED)
    present = _read(row)
    try:
        return present, _ready(present, row)
    except Unavailable as obstacle:
        return present, obstacle


async def version(conn: db.Connection, version_id: UUID) -> Version:
    """Any version by its id, also a replaced or archived one.

    Raises:
        NotFound: if there is none.
    """
    return _read(await sql.version(conn, version_id=version_id))


def validate(version: Version, inputs: object) -> dict[str, str]:
    """What a buyer sent for a version, if it fits.

    Raises:
        InvalidInput: naming each field that does not.
    """
    config = settings()
    return template.validate(
        inputs,
        version.parameters,
        allows_user_message=version.allows_user_message,
        value_limit=config.value_limit,
        inputs_limit=config.inputs_limit,
    )


async def listing(conn: db.Connection, account_id: UUID) -> list[Version]:
    """The present versions of a creator's resources by slug, archived ones last."""
    return [_read(row) async for row in sql.listing(conn, account_id=account_id)]


async def archive(conn: db.Connection, account_id: UUID, slug: str) -> None:
    """Take a resource off sale; its slug stays taken. Doing it again changes nothing.

    Raises:
        NotFound: if this creator has no such resource.
    """
    if not await sql.archive(conn, account_id=account_id, slug=slug):
        raise NotFound


async def restore(conn: db.Connection, account_id: UUID, slug: str) -> None:
    """Put an archived resource on sale again, as it was. Doing it again changes nothing.

    Raises:
        NotFound: if this creator has no such resource.
    """
    if not await sql.restore(conn, account_id=account_id, slug=slug):
        raise NotFound


async def readiness(conn: db.Connection, version: Version) -> Ready:
    """Whether a call of this version could be sold and run now. Only looks; the claim decides.

    Raises:
        Unavailable: with the first obstacle as code (archived, key_missing, key_disabled, key_rejected,
            key_unreadable, template_unreadable, model_withdrawn, certain_loss, spend_cap, resource_spend_cap,
            queue_full, no_payout_address).
    """
    row = await sql.readiness(conn, version_id=version.version_id, absence_tolerated=ABSENCE_TOLERATED)
    if row is None:
        raise NotFound
    return _ready(version, row)


def _ready(version: Version, row: Any) -> Ready:
    served = {network.id for network in settings().networks}
    payouts = {network: address for network, address in row.payouts.items() if network in served}
    obstacles = {
        "archived": row.archived,
        "key_missing": row.key_id is None,
        "key_disabled": row.key_enabled is False,
        "key_rejected": row.key_rejected,
        "model_withdrawn": row.model_withdrawn,
        "certain_loss": row.is_certain_loss,
        "spend_cap": not row.has_budget,
        "resource_spend_cap": not row.resource_has_budget,
        "queue_full": not row.has_room,
        "no_payout_address": not payouts,
    }
    for code, stands_in_the_way in obstacles.items():
        if stands_in_the_way:
            raise Unavailable(code)
    try:
        _unseal_key(row.sealed_key, version.account_id, row.key_id)
        open_template(version)
    except ExecutionFailed as failure:
        code = failure.detail
    else:
        return Ready(payouts)
    raise Unavailable(code)


async def open_key(conn: db.Connection, account_id: UUID, at: Provider) -> Private[str]:
    """The creator's key at a provider, for a call that was paid for.

    Raises:
        ExecutionFailed: key_missing or key_disabled (the creator's), key_unreadable (ours).
    """
    row = await sql.key(conn, account_id=account_id, provider=at.name)
    if row is None:
        raise ExecutionFailed("resource_unavailable", "creator", "key_missing")
    if not row.enabled:
        raise ExecutionFailed("resource_unavailable", "creator", "key_disabled")
    return _unseal_key(row.sealed_key, account_id, row.id)


def open_template(version: Version) -> Private[str]:
    """The prompt template in the clear.

    Raises:
        ExecutionFailed: template_unreadable (ours).
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


def _unseal_key(sealed: bytes, account_id: UUID, key_id: UUID) -> Private[str]:
    try:
        plain = vault().open(sealed, account=account_id, column=KEY_COLUMN, row=key_id)
    except Unreadable:
        plain = None
    if plain is None:
        # A master key that sealed it is gone, which only the operator can have done.
        raise ExecutionFailed("resource_unavailable", "ours", "key_unreadable")
    return Private(plain.reveal().decode())


def _read(row: Any) -> Version:
    if row is None:
        raise NotFound
    columns = {name: getattr(row, name) for name in Version.__slots__ if name != "prices"}
    columns["prices"] = _prices(row)
    columns["parameters"] = tuple(map(Parameter.model_validate, row.parameters))
    columns["supported_parameters"] = tuple(row.supported_parameters)
    return Version(**columns)


def _prices(row: Any) -> Prices | None:
    if row.prompt_usd is None or row.completion_usd is None:
        return None
    return Prices(row.prompt_usd, row.completion_usd, row.request_usd or Decimal(0))
