"""The money of each network by where it is, and the differences that a comparison found."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

OWED = ("rerunnable", "refund_due", "refunded", "waived")
RECEIVED = ("answered", *OWED, "in_flight", "unaccounted")

ChainState = Literal["compared", "not_asked", "not_configured", "chain_unreachable", "chain_wrong"]


@dataclass(frozen=True, slots=True)
class Total:
    """A number of payments, and the sum of their amounts in atomic units."""

    payments: int = 0
    amount_atomic: int = 0

    def __add__(self, other: "Total") -> "Total":
        return Total(self.payments + other.payments, self.amount_atomic + other.amount_atomic)


@dataclass(frozen=True, slots=True)
class Difference:
    """A disagreement between two sources.

    Attributes:
        code: the kind of difference.
        sentence: what each source says.
    """

    code: str
    sentence: str
    network: str | None
    payment_id: UUID | None
    execution_id: UUID | None
    account_id: UUID | None
    transaction: str | None


@dataclass(frozen=True, slots=True)
class ChainComparison:
    """The comparison with one network's chain.

    Attributes:
        state: `compared`, or why it was not: `not_asked`, `not_configured` (the settings have no such asset on this
            network), `chain_unreachable`, `chain_wrong`.
        since: the start of the comparison (UTC); None if there was nothing to look for.
        transfers: the transfers that the chain shows.
        undecided: transfers of payments that are not decided yet.
        foreign: transfers that belong to no payment of ours. A creator's wallet may receive other money.
        unconfirmed: payments of the last minute that the chain does not show yet.
        found: transfers that no payment knows since a restore, which are owed.
    """

    state: ChainState
    since: datetime | None = None
    transfers: int = 0
    undecided: int = 0
    foreign: int = 0
    unconfirmed: int = 0
    found: int = 0


@dataclass(frozen=True, slots=True)
class NetworkBalance:
    """The money of one asset on one network, by state.

    `places` are answered (succeeded or declined), rerunnable, refund_due, refunded, waived (failed, and owed in this
    way), in_flight (queued or running), unaccounted (paid, and none of these: always a difference too); and, not
    received, undecided (settling or unknown) and failed.
    """

    network: str
    asset: str
    places: dict[str, Total]
    chain: ChainComparison = field(default_factory=lambda: ChainComparison("not_asked"))

    @property
    def received(self) -> Total:
        """The total of paid payments."""
        return self._total(RECEIVED)

    @property
    def owed(self) -> Total:
        """The total of paid payments without an answer."""
        return self._total(OWED)

    def _total(self, places: Sequence[str]) -> Total:
        return sum((self.places.get(place, Total()) for place in places), Total())


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison: the balances and every difference."""

    books: list[NetworkBalance]
    differences: list[Difference]
    at: datetime

    @property
    def is_whole(self) -> bool:
        """Whether every network's chain was compared too."""
        return all(book.chain.state == "compared" for book in self.books)

    def document(self) -> dict[str, object]:
        """Return everything as plain values."""
        totals = [{"received": asdict(book.received), "owed": asdict(book.owed)} for book in self.books]
        books = [asdict(book) | total for book, total in zip(self.books, totals, strict=True)]
        differences = [asdict(difference) for difference in self.differences]
        return {"agrees": not differences, "at": self.at, "books": books, "differences": differences}
