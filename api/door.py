"""Hold what the routes share for the lifetime of the process."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from limits import RateLimitItem

from api import offers
from api.bodies import NAME
from api.rate_limits import RateLimiter
from api.readers import Readers
from core import db
from core.accounts.identity_keys import IdentityKeys
from core.db import notifications
from core.db.single_flight import Recent, SingleFlight
from core.failures import NotFound, TooManyRequests, Unavailable
from core.net.addresses import client_at
from core.observability import gauges, metrics
from core.payments.settlement import PaymentClients
from core.process import worker
from core.reporting import record
from core.resources import readiness, versions
from core.settings import settings

T = TypeVar("T")

# A record may be as old as the copies that its readers may keep.
RECORD_SECONDS = 60

# Prometheus gives up a scrape after ten seconds, and most metrics need no database.
_SNAPSHOT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Door:
    """Connections to Postgres, facilitators and nodes, rate limits, and settlements that outlive their requests.

    Attributes:
        worker_id: owns the payments that this process settles.
        limiter: counts requests.
        address_rate, payer_rate, refused_rate: limits on the requests of a client address, on the payments of a wallet,
            and on the refused payments of a client address that nobody had proved.
        settling: tasks that claim or settle; shutdown waits for them.
        readers: of event streams.
        probes: what probes and scrapers were told last.
        identity_keys: those of the identity provider, as they were read last.
        records: the records of products that were read last.
    """

    pool: db.Pool
    hub: notifications.NotificationHub
    clients: PaymentClients
    worker_id: UUID
    limiter: RateLimiter
    address_rate: RateLimitItem
    payer_rate: RateLimitItem
    refused_rate: RateLimitItem
    settling: set[asyncio.Task[Any]] = field(default_factory=set)
    readers: Readers = field(default_factory=Readers)
    probes: Recent[str, Any] = field(default_factory=lambda: Recent(settings().probe_seconds))
    identity_keys: IdentityKeys = field(default_factory=IdentityKeys)
    records: Recent[UUID, record.Record] = field(default_factory=lambda: Recent(RECORD_SECONDS))
    _offers: SingleFlight[tuple[str, str], offers.Offered] = field(default_factory=SingleFlight)
    _readiness: SingleFlight[UUID, readiness.Ready] = field(default_factory=SingleFlight)

    async def offered(self, handle: str, slug: str) -> offers.Offered:
        """Return the offer at `/@handle/slug`, read after this call; concurrent callers share one query.

        Raises:
            NotFound: there is no such resource.
        """
        if not (NAME.fullmatch(handle) and NAME.fullmatch(slug)):
            raise NotFound
        offered = await self._offers.do(
            (handle, slug), lambda: offers.read_offer(self.pool, self.clients.facilitators, handle, slug)
        )
        return replace(offered, payouts=(), obstacle="draining") if worker.is_draining() else offered

    async def ready(self, version: versions.Version) -> readiness.Ready:
        """Return the readiness of this version, read after this call; concurrent callers share one query.

        Raises:
            Unavailable: it is not ready, as in `readiness.readiness`; `draining`: nothing is, at this door.
        """
        if worker.is_draining():
            raise Unavailable("draining")
        return await self._readiness.do(version.version_id, lambda: self._ready(version))

    async def record_of(self, resource_id: UUID) -> record.Record:
        """Return a product's record, at most RECORD_SECONDS old. Products are never deleted, so keys are few."""
        return await self.records.get(resource_id, lambda: self._record_of(resource_id))

    async def _record_of(self, resource_id: UUID) -> record.Record:
        async with db.snapshot(self.pool) as conn:
            return await record.record(conn, resource_id)

    async def _ready(self, version: versions.Version) -> readiness.Ready:
        async with db.autocommit(self.pool) as conn:
            return await readiness.readiness(conn, version)

    async def snapshot(self) -> gauges.Snapshot | None:
        """Read the gauges; None if the database does not answer in time."""
        try:
            async with asyncio.timeout(_SNAPSHOT_SECONDS), db.autocommit(self.pool) as conn:
                return await gauges.read(conn)
        except (TimeoutError, *db.UNREACHABLE):
            return None

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work that moves money in its own task, which a closed connection does not stop; shutdown waits for it."""
        task = asyncio.create_task(work, name="settle")
        self.settling.add(task)
        task.add_done_callback(self.settling.discard)
        return task

    async def limit_payer(self, payer: str) -> None:
        """Count one payment of a wallet.

        Raises:
            TooManyRequests: the wallet pays too often.
        """
        await self.count_request(self.payer_rate, f"payer:{payer}")

    async def limit_refused(self, client: str) -> None:
        """Let somebody present a payment, unless too many of theirs were refused.

        Raises:
            TooManyRequests: too many were refused.
        """
        if not await self.limiter.test(self.refused_rate, f"refused:{client}"):
            await self._refuse(self.refused_rate, f"refused:{client}")

    async def count_refused(self, client: str) -> None:
        """Count a refused payment against who presented it."""
        await self.limiter.hit(self.refused_rate, f"refused:{client}")

    async def count_request(self, rate: RateLimitItem, client: str) -> None:
        """Count one request against a rate limit.

        Raises:
            TooManyRequests: the limit is reached; it holds the time from which the next request is accepted.
        """
        if not await self.limiter.hit(rate, client):
            await self._refuse(rate, client)

    async def _refuse(self, rate: RateLimitItem, client: str) -> NoReturn:
        metrics.limited(client.partition(":")[0])
        raise TooManyRequests(await self.limiter.reset_time(rate, client))


async def door_of(request: Request) -> Door:
    """Return the door, after counting the client's address.

    Raises:
        TooManyRequests: the address asks too often.
    """
    door: Door = request.app.state.door
    await door.count_request(door.address_rate, f"address:{client_of(request)}")
    return door


def client_of(request: Request) -> str:
    """Return the client that a request comes from, as `client_at` names it."""
    return client_at(request.client.host if request.client else "unknown")


LimitedDoor = Annotated[Door, Depends(door_of)]
