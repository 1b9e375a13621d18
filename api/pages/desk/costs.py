"""What a prompt that is being typed costs its creator, and what its price leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from core import db
from core.failures import InvalidInput
from core.resources import draft as drafts
from core.resources import estimates, publishing

_COST_FIELDS = publishing.COSTING - {"price_usdc"}


@dataclass(frozen=True, slots=True)
class Margin:
    """What a price leaves of a call in one case: least, typical or worst.

    Attributes:
        cost_usd: what the call costs, in US dollars.
        left_usd: the price less that; below zero is a loss; None while the price cannot be read.
        share: of the price, in percent.
    """

    name: str
    cost_usd: Decimal
    left_usd: Decimal | None
    share: int | None


@dataclass(frozen=True, slots=True)
class Costing:
    """What is known about a prompt as it is typed.

    Attributes:
        margins: in the three cases; none while the cost cannot be told.
        estimate: of its cost; None likewise.
        price_atomic: in atomic USDC; None while it cannot be read.
        warnings: sentences about what may be unintended.
        problems: a sentence for each field that is wrong.
    """

    margins: tuple[Margin, ...] = ()
    estimate: estimates.Estimate | None = None
    price_atomic: int | None = None
    warnings: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)


async def costing(conn: db.Connection, account_id: UUID, document: Mapping[str, object]) -> Costing:
    """Check a document as publishing would, and estimate its cost, as far as what is right so far allows it.

    Args:
        conn: the transaction, which acts for the creator. Nothing is written.
        account_id: the creator.
        document: as it is typed.
    """
    reading, warnings, problems = drafts.read_all(document), tuple[str, ...](), dict[str, str]()
    try:
        _, checked = await publishing.read(conn, account_id, document, allow_loss=True)
        warnings = checked.warnings
    except InvalidInput as refusal:
        problems = dict(refusal.fields)
    price = None if "price_usdc" in reading.wrong else reading.draft.price_atomic
    done = None
    if reading.wrong.isdisjoint(_COST_FIELDS):
        try:
            done = await estimates.estimate(conn, account_id, reading.draft)
        except InvalidInput as refusal:
            problems = dict(refusal.fields) | problems
    if done is None:
        return Costing((), None, price, warnings, problems)
    costs = done.on_its_model
    cases = (("Least", costs.least_usd), ("Typical", costs.typical_usd), ("Worst", costs.worst_usd))
    margins = tuple(_margin(name, cost, price) for name, cost in cases)
    if price is not None and costs.least_usd > Decimal(price).scaleb(-6):
        told = "Nearly every call would cost more than it earns. Publishing refuses that, unless you allow it."
        warnings = (told, *warnings)
    return Costing(margins, done, price, warnings, problems)


def _margin(name: str, cost_usd: Decimal, price_atomic: int | None) -> Margin:
    if price_atomic is None:
        return Margin(name, cost_usd, None, None)
    price = Decimal(price_atomic).scaleb(-6)
    left = price - cost_usd
    return Margin(name, cost_usd, left, int((left / price * 100).to_integral_value()))
