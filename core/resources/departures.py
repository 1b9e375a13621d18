"""Tell which prompts are on sale on a model that is leaving, or that got too dear for them, and what to switch to."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from core import db
from core.amounts import dollars, usdc
from core.catalog.model import ABSENCE_TOLERATED
from core.db.queries.resource import sql

Facts = Mapping[str, Any]
"""What SQL's `leaving_resources` knows of one prompt: texts, and lists of them."""

_CAUSES = {
    "renamed": "{model} has another id now, and is sold until {until}",
    "withdrawn": "nothing is sold on {model} any more",
    "unfit": "{model} no longer does all that the prompt asks for (inputs, output, length or effort); it is not sold",
    "lost": "{model} is not listed any more; it is sold until {until}, unless it is listed again",
    "ends": "{model} is served until {until} only",
    "unserved": (
        "its last 3 calls failed uncharged, because nobody serves {model} at its listed price or below, within the "
        "limits of your account and of this prompt, and the list has not changed since; it is still sold"
    ),
    "dear": "a call can cost up to ${worst} since prices rose, more than its price of {price} USDC; it is still sold",
    "fallback": "{lost} cannot answer for {model} any more, so it has fewer fallbacks; publish it with others",
    "loss": "{model}{other} costs so much that hardly any call earns its cost; it is not sold until its price rises",
}


async def departures(conn: db.Connection, account_id: UUID) -> dict[str, str]:
    """Map the slug of each prompt of a creator whose model is leaving to a sentence about it."""
    return {slug: sentence(found) for slug, found in (await facts(conn, account_id)).items()}


async def facts(conn: db.Connection, account_id: UUID) -> dict[str, Facts]:
    """Map the slug of each prompt of a creator whose model is leaving to facts about that, for `sentence`.

    Among them are `model`, `cause`, and `switch_to`, the ids of the models to switch to, the best first.
    """
    rows = sql.leaving(conn, account_id=account_id, absence_tolerated=ABSENCE_TOLERATED)
    return {row.slug: row.facts async for row in rows}


def sentence(found: Facts) -> str:
    """Say what becomes of a prompt's model, and name the models to switch to.

    Args:
        found: of SQL's `leaving_resources`; those of old notices have no amounts.
    """
    said = _CAUSES[found["cause"]].format(
        model=found["model"],
        other=" or a fallback" if found.get("fallbacks") else "",
        lost=" and ".join(found.get("lost_fallbacks", ())),
        until=found["until"],
        worst=found.get("worst_cost_usd") and dollars(Decimal(found["worst_cost_usd"])),
        price=found.get("price_atomic") and usdc(found["price_atomic"]),
    )
    others = (
        f"; switch to {' or '.join(found['switch_to'])}" if found["switch_to"] and found["cause"] != "fallback" else ""
    )
    return f"{said}{others}"
