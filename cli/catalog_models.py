"""`instant catalog list` and `show`: the models that prompts can be sold on."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from cyclopts import Parameter

from cli import output
from cli.shared import DECIMAL, Json, in_transaction
from core import db
from core.amounts import dollars, usdc
from core.catalog import price_words
from core.catalog import search as catalog_search
from core.catalog.model import Capability
from core.db.states import Modality, ModelModality, Tier
from core.failures import InvalidInput


def list_models(
    *words: str,
    modality: ModelModality | None = None,
    sells_as: Modality | None = None,
    takes: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    provider: str | None = None,
    tier: Annotated[tuple[Tier, ...], Parameter(negative=())] = (),
    capability: Annotated[tuple[Capability, ...], Parameter(negative=())] = (),
    parameter: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    min_context: int | None = None,
    max_price: Annotated[Decimal | None, DECIMAL] = None,
    expires_before: datetime | None = None,
    reasoning: bool | None = None,
    knows_until: datetime | None = None,
    open_weights: bool | None = None,
    ids: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    curated: bool | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative=())] = False,
    sort: catalog_search.Sort | None = None,
    most: int = 50,
    json: Json = False,
) -> None:
    """List the models that prompts can be sold on.

    Args:
        words: of id, name or description, also misspelt, and traits, such as: cheap vision model.
        modality: only of this kind.
        sells_as: only what a prompt of this modality can be published on.
        takes: only what takes this kind of input, such as image; repeat it for more.
        provider: only of this provider, the beginning of an id.
        tier: only of this price tier; repeat it for more.
        capability: only with this capability; repeat it for more.
        parameter: only with this request parameter; repeat it for more.
        min_context: only with at least as many tokens of context.
        max_price: only up to this price of the dearest output, in US dollars per million tokens; fees per
            request and search are spread over 1000 tokens.
        expires_before: only what ends before this day, as its provider has announced.
        reasoning: only what can reason, or only the others.
        knows_until: only with this day or a later one as knowledge cutoff.
        open_weights: only with published weights, or only the others.
        ids: only this model; repeat it to compare several.
        curated: only recommended models, or only the others.
        everything: include models that cannot be sold now.
        sort: by relevance, by name, cheapest, newest, longest context or most sold here first; by relevance with words.
        most: how many.
    """
    wanted = catalog_search.Filters(
        search=" ".join(words),
        modality=modality,
        sells_as=sells_as,
        takes=takes,
        provider=provider,
        tiers=tier,
        min_context=min_context,
        capabilities=capability,
        parameters=parameter,
        most_usd=None if max_price is None else max_price.scaleb(-6),
        expires_before=None if expires_before is None else expires_before.date(),
        reasoning=reasoning,
        cutoff_from=None if knows_until is None else knows_until.date(),
        open_weights=open_weights,
        ids=ids,
        curated=curated,
        everything=everything,
        sort=sort,
    )
    rows, _ = in_transaction(lambda conn: catalog_search.page(conn, wanted, most=most))
    if json:
        output.document([_document(row) for row in rows])
        return
    output.table(
        (
            {
                "model": row.id,
                "sells as": " ".join(row.sells_as),
                "context": row.context_length,
                "price per million": price_words.price(row),
                "tier": row.tier,
                "curated": "yes" if row.curated else "",
                "capabilities": " ".join(row.capabilities),
                **({"not sold": row.obstacle} if everything else {}),
            }
            for row in rows
        ),
        empty="No model fits.",
    )


def show_model(model_id: str, /, *, json: Json = False) -> None:
    """Show one model: its prices, capabilities and history, and the prompts on sale on it."""

    async def collect(conn: db.Connection) -> tuple[dict[str, Any], list[Any], list[Any]]:
        row = await catalog_search.show(conn, model_id)
        if row is None:
            raise InvalidInput({model_id: await catalog_search.not_in_catalog(conn, model_id)})
        model = _document(row) | {"success_rate": await catalog_search.success_rate(conn, model_id)}
        return model, await catalog_search.history(conn, model_id), await catalog_search.versions_on(conn, [model_id])

    model, past, sold = in_transaction(collect)
    if json:
        history, resources = ([_document(one) for one in rows] for rows in (past, sold))
        output.document(model | {"history": history, "resources": resources})
        return
    facts = {name: _cell(value) for name, value in model.items()}
    output.table([{"": name, " ": value} for name, value in facts.items()], empty="")
    output.line()
    output.table(
        (
            {
                "since": f"{then.at:%Y-%m-%d %H:%M}",
                "listed": "yes" if then.listed else "no",
                "price per million": price_words.price(then),
                "not sold": then.not_sellable,
            }
            for then in past
        ),
        empty="",
    )
    output.line()
    output.table(
        (
            {
                "for sale": f"/@{one.handle}/{one.slug}",
                "USDC": usdc(one.price_atomic),
                "costs up to $": dollars(one.worst_cost_usd),
            }
            for one in sold
        ),
        empty="Nothing is for sale on it.",
    )


def _document(row: Any) -> dict[str, Any]:
    """Convert a row without its sort columns; prices with all their digits, and never with an exponent."""
    kept = {name: value for name, value in row._asdict().items() if not name.startswith("sort_")}
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in kept.items()}


def _cell(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value
