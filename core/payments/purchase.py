"""A purchase, the door that it is made at, and the conflict with an earlier one."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from core import db
from core.failures import ConflictCode, PaymentConflict
from core.payments import codec, ledger, matching, settlement
from core.resources import readiness, versions

T = TypeVar("T")


class Door(Protocol):
    """What an HTTP route, or another way to buy, provides to an admission.

    Attributes:
        pool: our database.
        clients: connections to facilitators and chain nodes.
        worker_id: the worker that owns the payments this process settles.
    """

    @property
    def pool(self) -> db.Pool: ...
    @property
    def clients(self) -> settlement.PaymentClients: ...
    @property
    def worker_id(self) -> UUID: ...

    async def ready(self, version: versions.Version) -> readiness.Ready:
        """Return the version's readiness to be sold and run.

        Raises:
            Unavailable: it is not ready, as in `readiness.readiness`.
        """

    async def limit_payer(self, payer: str) -> None:
        """Count one payment of a wallet.

        Raises:
            TooManyRequests: the wallet pays too often.
        """

    async def limit_refused(self, client: str) -> None:
        """Let somebody present a payment, unless too many of theirs were refused.

        Raises:
            TooManyRequests: too many were refused.
        """

    async def count_refused(self, client: str) -> None:
        """Count a refused payment against who presented it: a client's address, for a proved one with its wallet."""

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work that moves money in a task that outlives the buyer's connection; shutdown waits for it."""


class Conflict(PaymentConflict):
    """A conflict that can show the receipt of the earlier purchase."""

    def __init__(self, code: ConflictCode, payment: ledger.Payment) -> None:
        super().__init__(code)
        self.payment = payment


@dataclass(frozen=True, slots=True)
class Purchase:
    """A payment, and the request that it should pay for.

    Attributes:
        client: the address that presents it.
        is_streamed: whether its buyer wants to hear of it while it is made. That is no part of what is bought.
        is_repeated: whether its client says that it repeats a request of which it got no answer.
        ready: the version's readiness, if it was read just now; None: it is still to be read.
    """

    payload: codec.PaymentPayload
    version: versions.Version
    inputs: dict[str, str]
    status_token: str = ""
    client: str = ""
    is_streamed: bool = False
    is_repeated: bool = False
    ready: readiness.Ready | None = None

    @property
    def request_sha256(self) -> bytes:
        """Hash of the request that the payment is bound to."""
        return matching.request_sha256(self.version.resource_id, self.inputs)
