"""Check the models that a draft names beside its own, and compute what a call costs on the dearest of them.

Functions take a connection and do not commit.
"""

from collections.abc import Sequence
from decimal import Decimal

from core import db
from core.catalog import search as catalog
from core.catalog.model import Model
from core.failures import InvalidInput
from core.providers.registry import provider_for
from core.resources import call_cost
from core.resources.draft import Draft


async def find_models(conn: db.Connection, draft: Draft) -> tuple[list[Model], dict[str, str]]:
    """Find all models that a draft may call, its own first, and keep syncs from changing prices until the commit.

    Returns:
        The models that could be sold on; none if its own is not. And what is wrong: `model` or `fallbacks.N` for one
        that is not in the catalog, and each field that one of them cannot serve.
    """
    own = await catalog.find_and_lock_prices(conn, draft.model)
    if own is None:
        return [], {"model": f"{draft.model} {await catalog.not_in_catalog(conn, draft.model)}"}
    problems = _unsupported(draft, own)
    if "model" in problems:
        return [], problems
    found = [own]
    for index, model_id in enumerate(draft.fallbacks):
        field = f"fallbacks.{index}"
        other = await catalog.find(conn, model_id)
        if other is None:
            problems[field] = f"{model_id} {await catalog.not_in_catalog(conn, model_id)}"
        elif (provider := provider_for(model_id)) is not provider_for(draft.model):
            problems[field] = f"{model_id} is served by {provider.title}, which takes another key than {draft.model}"
        elif refused := _unsupported(draft, other):
            problems[field] = "; ".join(refused.values())
        else:
            found.append(other)
    return found, problems


def _unsupported(draft: Draft, model: Model) -> dict[str, str]:
    try:
        call_cost.refuse_unsupported(draft, model)
    except InvalidInput as refusal:
        return dict(refusal.fields)
    return {}


def worst_cost_usd(draft: Draft, models: Sequence[Model]) -> Decimal:
    """Compute the most that one call can cost its creator, in US dollars: on the dearest of the models."""
    return max(call_cost.worst_cost_usd(draft, model) for model in models)


def least_cost_usd(draft: Draft, models: Sequence[Model]) -> Decimal:
    """Compute what nearly every call costs at least, in US dollars, on the dearest of the models."""
    return max(call_cost.least_cost_usd(draft, model) for model in models)


def is_certain_loss(draft: Draft, models: Sequence[Model]) -> bool:
    """Whether on one of the models nearly every call costs more than the price."""
    return any(call_cost.is_certain_loss(draft, model) for model in models)


def warnings(draft: Draft, models: Sequence[Model]) -> list[str]:
    """Warn the creator, in sentences, of what may be unintended; those about a fallback begin with its id."""
    own, *others = models
    return call_cost.warnings(draft, own) + [
        f"{other.id}: {sentence}" for other in others for sentence in call_cost.warnings(draft, other)
    ]
