"""The desk's first page: what is left to do before the first sale, and what is sold, with what stands against it."""

from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.authentication import Creator, Identity
from api.door import LimitedDoor
from api.pages.desk.visits import DESK, desk_page
from core import db
from core.accounts import authentication, key_cards, payouts
from core.executions import views as execution_views
from core.providers.registry import OPENROUTER
from core.reporting import report as usage_report
from core.resources import departures, readiness, versions
from core.resources.obstacles import ADVICE
from core.settings import settings

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a new creator has to do.

    Attributes:
        is_done: None if the request may not know.
        why: in a sentence.
        address: where to do it, below the desk or elsewhere.
        label: of the link.
    """

    title: str
    is_done: bool | None
    why: str
    address: str
    label: str


@dataclass(frozen=True, slots=True)
class Product:
    """What a creator sells, with its state in words.

    Attributes:
        advice: what to do before it is sold; None if it is sold, or was not published yet.
        leaving: what becomes of its model; None if nothing.
        figures: of its calls in the last 30 days; None without any.
    """

    version: versions.Version
    state: str
    obstacle: str | None
    advice: str | None
    leaving: str | None
    figures: usage_report.Figures | None


@router.get(DESK)
async def home(request: Request, door: LimitedDoor, creator: Creator, identity: Identity) -> Response:
    """Your products, and a list of what to do until you have sold something."""
    async with db.acting_for(door.pool, creator.id) as conn:
        sold = await versions.listing(conn, creator.id)
        obstacles = [await readiness.why_not_sold(conn, version) for version in sold]
        leaving = await departures.departures(conn, creator.id)
        steps = await _steps(conn, identity, sold)
    async with db.snapshot(door.pool) as conn:
        await db.act_for(conn, creator.id)
        report = await usage_report.report(conn, creator.id, by="resource", kind="paid")
    figures = {row.subject: row for row in report.rows}
    products = [
        Product(
            version,
            versions.state(version),
            obstacle,
            obstacle and ADVICE[obstacle],
            leaving.get(version.slug),
            figures.get(f"/@{version.handle}/{version.slug}"),
        )
        for version, obstacle in zip(sold, obstacles, strict=True)
    ]
    return desk_page(request, identity, "home.html", products=products, steps=steps, report=report)


async def _steps(
    conn: db.Connection, identity: authentication.Identity, sold: list[versions.Version]
) -> list[Step] | None:
    """List what to do before the first sale; None after it."""
    account_id: UUID = identity.account.id
    done = await execution_views.milestones(conn, account_id)
    if done.sold:
        return None
    may_see_keys, may_see_payouts = "keys" in identity.scopes, "money" in identity.scopes
    cards = await key_cards.key_cards(conn, account_id) if may_see_keys else []
    paid_at = await payouts.listing(conn, account_id) if may_see_payouts else []
    is_practice = settings().mode == "sandbox"
    own = f"{DESK}/products/{sold[0].slug}" if sold else f"{DESK}/new"
    return [
        Step(
            "Connect a provider",
            any(card.health == "sound" for card in cards) if may_see_keys else None,
            "Your prompts run on your own account there. The key is sealed, and nobody can read it back.",
            f"{DESK}/keys",
            "Your keys",
        ),
        Step(
            "Put credit on that account",
            True if done.tested or is_practice else None,
            "Buyers pay you in USDC; models are paid by you, from your credit at the provider. These are two purses: "
            "what you earn here does not refill the credit there."
            + (
                " Practice needs no credit, and any key that begins with sk-or-v1-practice- works."
                if is_practice
                else ""
            ),
            OPENROUTER.credit_url or f"{DESK}/keys",
            "Buy credit at OpenRouter",
        ),
        Step(
            "Say where you are paid",
            bool(paid_at) if may_see_payouts else None,
            "Buyers pay straight to this address; we never hold your money.",
            f"{DESK}/account",
            "Your payout addresses",
        ),
        Step("Write a prompt", bool(sold), "A template with blanks, a model and a price.", f"{DESK}/new", "New prompt"),
        Step(
            "Try it yourself",
            done.tested,
            "A test runs like a sale, costs you what the model costs, and shows what the price leaves.",
            f"{own}/try" if sold else own,
            "Try it",
        ),
        Step(
            "Publish, and sell the first call",
            False,
            "It is in the shop at once. Buy it yourself from another wallet, or show somebody its page.",
            own,
            "Your prompt" if sold else "New prompt",
        ),
    ]
