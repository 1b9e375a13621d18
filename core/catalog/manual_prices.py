"""Set prices of models that no list has: models called at their own provider, priced by the operator.

Functions take a connection and do not commit.
"""

from collections.abc import Sequence
from decimal import Decimal

from core import db
from core.catalog import model as catalog_model
from core.catalog import openrouter_listing
from core.catalog import sync as catalog_sync
from core.catalog.changes import News
from core.catalog.model import Model
from core.db.queries.catalog_sync import sql
from core.failures import InvalidInput
from core.providers import model_ids
from core.providers import registry as providers

_MILLION = Decimal(1_000_000)
_MOST_TOKENS = 2**31


async def set_prices(
    conn: db.Connection,
    reprice: catalog_sync.Reprice,
    model_id: str,
    *,
    prompt_usd: Decimal,
    completion_usd: Decimal,
    context_length: int | None = None,
    max_completion_tokens: int | None = None,
    parameters: Sequence[str] = (),
) -> News:
    """Add a model of a provider to the catalog, or change its prices; versions on sale on it are repriced.

    A call then costs its tokens times these prices, so they must be what the provider bills.

    Args:
        conn: the transaction.
        reprice: reprices versions in that transaction, given the models whose price changed.
        model_id: `provider:` and the model's name there.
        prompt_usd: US dollars per million tokens of input.
        completion_usd: US dollars per million tokens of output, reasoning included.
        context_length: tokens of input and output together; None if unknown.
        max_completion_tokens: the most tokens of one answer; None if unknown.
        parameters: what the model takes beside the parameters that all models of its provider take.

    Raises:
        InvalidInput: names `model`, `parameters`, a price or a number of tokens.
    """
    row = _listed(model_id, prompt_usd, completion_usd, context_length, max_completion_tokens, parameters)
    await sql.take_turns(conn)
    await sql.apply(conn, rows=catalog_model.as_json([row]), whole=False)
    return await catalog_sync.news(conn, reprice, await sql.now(conn))


def _listed(
    model_id: str,
    prompt_usd: Decimal,
    completion_usd: Decimal,
    context: int | None,
    most: int | None,
    parameters: Sequence[str],
) -> Model:
    """Build the row in the format of a provider's list, and read it like any other."""
    limits = {"context_length": context, "max_completion_tokens": most}
    if wrong := [field for field, tokens in limits.items() if tokens is not None and not 0 < tokens < _MOST_TOKENS]:
        # The reader of lists would take it for unknown.
        raise InvalidInput(dict.fromkeys(wrong, "must be a number of tokens, more than 0"))
    provider_name, name = model_ids.provider_of(model_id)
    provider = providers.provider_named(provider_name)
    if provider.parameters is None:
        raise InvalidInput({"model": f"what is called at {provider.title} is listed there: instant catalog sync"})
    if unknown := sorted({*parameters} - {*provider.optional_parameters}):
        optional = ", ".join(provider.optional_parameters) or "none"
        raise InvalidInput({"parameters": f"of models of {provider.title} can be {optional}, not {', '.join(unknown)}"})
    row: dict[str, object] = {
        "name": name,
        "context_length": context,
        "architecture": {"input_modalities": list(provider.inputs), "output_modalities": ["text"]},
        "top_provider": {"max_completion_tokens": most},
        "pricing": {
            "prompt": _per_token("prompt_usd", prompt_usd),
            "completion": _per_token("completion_usd", completion_usd),
        },
        "supported_parameters": [*provider.parameters, *parameters],
    }
    # What OpenRouter means by forms of ids holds for its own; `llama3.2:3b` is no variant elsewhere.
    model = openrouter_listing.read(provider_name, row)
    if not name or not catalog_model.ID.fullmatch(model_id) or model.not_sellable is not None:
        raise InvalidInput({"model": f"{model_id} is no model that can be sold ({model.not_sellable or 'no id'})"})
    return model.model_copy(update={"id": model_id})


def _per_token(field: str, per_million: Decimal) -> str:
    """Convert a price to US dollars per token. Zero is refused: it is a typing error, and would hide a loss."""
    if not per_million.is_finite() or not 0 < per_million < _MILLION:
        raise InvalidInput({field: "must be US dollars per million tokens, more than 0"})
    return f"{per_million:f}e-6"
