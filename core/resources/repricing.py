"""Reprice versions when their model's prices change, so that no creator sells at a loss by accident.

Functions take a connection and do not commit.
"""

from collections.abc import Sequence

from core import db
from core.catalog import search as catalog
from core.db.queries.repricing import sql
from core.failures import ExecutionFailed
from core.resources import fallbacks, versions


async def reprice(conn: db.Connection, model_ids: Sequence[str]) -> None:
    """Compute again what a call of each current version can cost, at today's prices of these models.

    From then on, calls reserve the new worst case, that of the dearest model that a version may call, and versions at a
    certain loss are not sold unless their creator agreed.
    A model with an unknown price is skipped, because nothing is sold on it.
    """
    offered = [row async for row in sql.offered(conn, model_ids=list(model_ids))]
    called = {model_id for row in offered for model_id in (row.model_id, *row.fallbacks)}
    found = {model_id: await catalog.find(conn, model_id) for model_id in called}
    # Nothing is sent to a model with an unknown price.
    models = {model_id: model for model_id, model in found.items() if model and model.prompt_usd is not None}
    for version_id, model_id, others in offered:
        if model_id not in models:
            continue
        priced = [models[one] for one in (model_id, *others) if one in models]
        try:
            draft = versions.draft_of(await versions.version(conn, version_id))
        except ExecutionFailed:
            # A version whose template cannot be opened is not sold either.
            continue
        await sql.reprice(
            conn,
            version_id=version_id,
            worst_cost_usd=fallbacks.worst_cost_usd(draft, priced),
            is_certain_loss=fallbacks.is_certain_loss(draft, priced),
        )
