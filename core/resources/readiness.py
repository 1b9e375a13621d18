"""Check whether a version can be sold now, and open the provider key for a call."""

from collections.abc import Set
from dataclasses import dataclass, field
from uuid import UUID

from cachetools import LRUCache

from core import db
from core.accounts.provider_keys import KEY_COLUMN
from core.catalog.model import ABSENCE_TOLERATED
from core.db.queries.resource import KeysRow, ReadinessRow, ResolveRow, sql
from core.failures import ExecutionFailed, NotFound, Unavailable, Unreadable
from core.providers.registry import Provider, provider_for
from core.resources import versions
from core.resources.versions import Version, open_template, read_row
from core.secrets.private import Private
from core.secrets.vault import vault
from core.settings import Settings, settings


@dataclass(frozen=True, slots=True)
class Ready:
    """A version can be sold now; `payouts` maps each configured network to the creator's address there."""

    payouts: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Known:
    """What was on sale at an address, under these settings, when the database said `seen`."""

    config: Settings
    seen: str
    version: Version
    state: Ready | Unavailable


# To read a row of what is sold costs more than the rest of an offer. What is here is never used unseen: each use asks
# the database whether it is still so.
_known: LRUCache[tuple[str, str], _Known] = LRUCache(1024)


async def resolve(conn: db.Connection, handle: str, slug: str) -> Version:
    """Find the current version at `/@handle/slug`, or the last one of an archived resource, for calls already paid.

    Raises:
        NotFound: there is no such resource.
    """
    return (await on_sale(conn, handle, slug))[0]


async def on_sale(conn: db.Connection, handle: str, slug: str) -> tuple[Version, Ready | Unavailable]:
    """Find the current version and check its readiness, in one query; in two if anything of them has changed.

    Returns:
        The version, and either its payout addresses or the first obstacle.

    Raises:
        NotFound: there is no such resource.
    """
    config, at = settings(), (handle, slug)
    known = _known.get(at)
    if known is not None and known.config is config:
        if known.seen == await sql.seen(conn, handle=handle, slug=slug, absence_tolerated=ABSENCE_TOLERATED):
            return known.version, known.state
        _known.pop(at, None)  # it may be gone meanwhile
    row = await sql.resolve(conn, handle=handle, slug=slug, absence_tolerated=ABSENCE_TOLERATED)
    if row is None:
        raise NotFound
    version = read_row(row)
    state: Ready | Unavailable
    try:
        state = _ready(version, row)
    except Unavailable as obstacle:
        state = Unavailable(obstacle.code)
    if row.seen is not None:
        _known[at] = _Known(config, row.seen, version, state)
    return version, state


async def readiness(conn: db.Connection, version: Version) -> Ready:
    """Check whether a call of this version could be sold and run now. Takes no lock; the claim decides.

    Raises:
        Unavailable: its code is the first obstacle (archived, unconfigured_provider, key_missing, key_disabled,
            key_rejected, key_expired, key_spent, key_unreadable, template_unreadable, model_withdrawn, certain_loss,
            a cap of `core.spend.reservations.CAPS`, queue_full, network_paused, no_payout_address).
    """
    row = await sql.readiness(conn, version_id=version.version_id, absence_tolerated=ABSENCE_TOLERATED)
    if row is None:
        raise NotFound
    return _ready(version, row)


async def why_not_sold(conn: db.Connection, version: Version) -> str | None:
    """Tell why what a creator has listed is not sold now: `draft`, or the first obstacle. None if it is sold."""
    return "draft" if versions.state(version) == "draft" else (await obstacle(conn, version))[0]


async def obstacle(conn: db.Connection, version: Version) -> tuple[str | None, dict[str, str]]:
    """Tell what stops a sale of this version now, by the codes of `readiness`, and where it would be paid to.

    Returns:
        The first obstacle, None if nothing stops it; and the creator's address on each configured network.
    """
    row = await sql.readiness(conn, version_id=version.version_id, absence_tolerated=ABSENCE_TOLERATED)
    if row is None:
        raise NotFound
    network_ids = {network.id for network in settings().networks}
    payouts = {network: address for network, address in row.payouts.items() if address and network in network_ids}
    try:
        _ready(version, row)
    except Unavailable as unavailable:
        return unavailable.code, payouts
    return None, payouts


def _ready(version: Version, row: ResolveRow | ReadinessRow) -> Ready:
    network_ids = {network.id for network in settings().networks}
    told = {network: address for network, address in row.payouts.items() if network in network_ids}
    payouts = {network: address for network, address in told.items() if address is not None}
    obstacles = {
        "archived": row.archived,
        "unconfigured_provider": not provider_for(version.model_id).is_configured,
        row.key_obstacle or "key": row.key_obstacle is not None,
        "model_withdrawn": row.model_withdrawn,
        "certain_loss": row.is_certain_loss,
        row.spend_obstacle or "cap": row.spend_obstacle is not None,
        "queue_full": not row.has_room,
        "network_paused": bool(told) and not payouts,
        "no_payout_address": not told,
    }
    for code, is_present in obstacles.items():
        if is_present:
            raise Unavailable(code)
    try:
        _unseal_key(db.required(row.sealed_key), version.account_id, db.required(row.key_id))
        open_template(version)
    except ExecutionFailed as failure:
        code = failure.detail
    else:
        return Ready(payouts)
    raise Unavailable(code)


async def open_key(conn: db.Connection, account_id: UUID, provider: Provider) -> Private[str]:
    """Open the creator's key at a provider, for a call that was paid for.

    Raises:
        ExecutionFailed: key_missing or key_disabled (the creator's fault), key_unreadable or unconfigured_provider
            (ours).
    """
    return (await Keys.read(conn, {(account_id, provider)})).open(account_id, provider)


@dataclass(frozen=True, slots=True)
class Keys:
    """Sealed keys of creators at providers, for calls that were paid for; one query reads those of many calls."""

    _rows: dict[tuple[UUID, str], KeysRow] = field(repr=False)

    @classmethod
    async def read(cls, conn: db.Connection, owners: Set[tuple[UUID, Provider]]) -> "Keys":
        """Read the keys of these creators at these providers."""
        accounts, names = [account for account, _ in owners], [provider.name for _, provider in owners]
        return cls(
            {(row.account_id, row.provider): row async for row in sql.keys(conn, account_ids=accounts, providers=names)}
        )

    def open(self, account_id: UUID, provider: Provider) -> Private[str]:
        """Open one of them.

        Raises:
            ExecutionFailed: as `open_key` does.
        """
        if not provider.is_configured:
            raise ExecutionFailed("resource_unavailable", "ours", "unconfigured_provider")
        row = self._rows.get((account_id, provider.name))
        if row is None:
            raise ExecutionFailed("resource_unavailable", "creator", "key_missing")
        if not row.enabled:
            raise ExecutionFailed("resource_unavailable", "creator", "key_disabled")
        return _unseal_key(row.sealed_key, account_id, row.id)


def _unseal_key(sealed: bytes, account_id: UUID, key_id: UUID) -> Private[str]:
    try:
        plain = vault().open(sealed, account=account_id, column=KEY_COLUMN, row=key_id)
    except Unreadable:
        plain = None
    if plain is None:
        # The master key that sealed it is not configured any more, which is the operator's doing.
        raise ExecutionFailed("resource_unavailable", "ours", "key_unreadable")
    return Private(plain.reveal().decode())
