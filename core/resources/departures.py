"""Tell which prompts are on sale on a model that is leaving, or that got too dear for them, and what to switch to."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from core import db
from core.catalog.model import ABSENCE_TOLERATED
from core.db.queries.resource import sql

_CAUSES = {
    "renamed": "{model} has another id now, and is sold until {until}",
    "withdrawn": "nothing is sold on {model} any more",
    "lost": "{model} is not listed any more; it is sold until {until}, unless it is listed again",
    "ends": "{model} is served until {until} only",
    "loss": "{model} costs so much that hardly any call earns its cost; it is not sold until its price is raised",
}


async def departures(conn: db.Connection, account_id: UUID) -> dict[str, str]:
    """Map the slug of each prompt of a creator whose model is leaving to a sentence about it."""
    rows = sql.leaving(conn, account_id=account_id, absence_tolerated=ABSENCE_TOLERATED)
    return {row.slug: sentence(row.facts) async for row in rows}


def sentence(facts: Mapping[str, Any]) -> str:
    """Say what becomes of a prompt's model, and name the models to switch to.

    Args:
        facts: of SQL's `leaving_resources`.
    """
    said = _CAUSES[facts["cause"]].format(model=facts["model"], until=facts["until"])
    others = f"; switch to {' or '.join(facts['switch_to'])}" if facts["switch_to"] else ""
    return f"{said}{others}"
