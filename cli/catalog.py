"""`instant catalog`: show and sync the models that prompts can be sold on, and set the operator's flags."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from cli import output
from cli.shared import Flag, Json, in_transaction, meet_prefect
from core import db
from core.amounts import dollars, usdc
from core.catalog import changes as catalog_changes
from core.catalog import manual_prices, price_words
from core.catalog import search as catalog_search
from core.catalog.changes import News
from core.catalog.model import Capability
from core.db.states import Modality, ModelModality, Tier
from core.failures import InvalidInput, Misconfigured
from core.resources.repricing import reprice
from core.settings import settings

catalog = App(name="catalog")

_SYNCS = 10
# The rule chooses at most 30.
_CURATED = 100
_NEVER = "The catalog was never synced; run: instant catalog sync"


@catalog.command
async def sync(*, if_empty: Flag = False, accept_loss: Flag = False, json: Json = False) -> None:
    """Fetch the provider's models and prices, as a flow run, and show the changes.

    Args:
        if_empty: do nothing if there are models already.
        accept_loss: apply a list that lacks more than a fifth of the models, as after months without a sync.
    """
    async with db.pool():
        async with db.transaction() as conn:
            if if_empty and not await catalog_search.is_empty(conn):
                return
            last = await catalog_search.syncs(conn, 1)
        meet_prefect(settings())
        from flows.catalog_sync import catalog_sync

        state = await catalog_sync(accept_loss=accept_loss, return_state=True)
        await state.aresult()
        if state.name == "Skipped":
            if if_empty:
                return
            raise Misconfigured("another catalog sync is going on; try again when it has ended")
        async with db.transaction() as conn:
            done = await catalog_search.syncs(conn, 1)
            is_new = done != last
            news = await catalog_changes.read(conn, done[0].at) if is_new else News()
    if json:
        output.document((done[0]._asdict() if is_new else {"outcome": "not_modified"}) | asdict(news))
    else:
        output.table(catalog_changes.table(news), empty="Nothing is new.")
        output.line(f"\n{catalog_changes.headline(news)}" if news.touched else "")


@catalog.command(name="price")
def price(
    model_id: str,
    /,
    *,
    prompt_usd: Decimal,
    completion_usd: Decimal,
    context: int | None = None,
    longest_answer: int | None = None,
    parameter: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    json: Json = False,
) -> None:
    """Set the prices of a model whose provider lists none, or change them. A call costs its tokens at these prices.

    Args:
        model_id: the provider and its name there, such as anthropic:claude-sonnet-4-5.
        prompt_usd: US dollars per million tokens of input, as the provider bills them.
        completion_usd: US dollars per million tokens of output.
        context: the most tokens of input and output together.
        longest_answer: the most tokens of one answer.
        parameter: of an OpenAI-compatible model, that it takes response_format (it can be held to JSON), or
            structured_outputs (to a schema); repeat it for both.
    """
    news = in_transaction(
        lambda conn: manual_prices.set_prices(
            conn,
            reprice,
            model_id,
            prompt_usd=prompt_usd,
            completion_usd=completion_usd,
            context_length=context,
            max_completion_tokens=longest_answer,
            parameters=parameter,
        )
    )
    if json:
        output.document(asdict(news))
    else:
        output.table(catalog_changes.table(news), empty="Nothing is new.")


@catalog.command(name="list")
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
    max_price: Decimal | None = None,
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
        max_price: only up to this price of the dearest output, in US dollars per million tokens.
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


@catalog.command(name="show")
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


@catalog.command(name="curate")
def curate(*model_ids: str, by_rule: Flag = False, json: Json = False) -> None:
    """Recommend models.

    Args:
        model_ids: the models.
        by_rule: instead, recommend what the rule of docs/operators.md chooses, as the first sync does.
    """
    if not by_rule:
        _say(model_ids, lambda conn: catalog_search.set_flags(conn, model_ids, curated=True), "recommended", json)
        return
    if model_ids:
        raise InvalidInput({"by-rule": "the rule chooses the models; name none"})

    async def choose(conn: db.Connection) -> list[Any]:
        await catalog_search.curate_by_rule(conn)
        rows, _ = await catalog_search.page(conn, catalog_search.Filters(curated=True, everything=True), most=_CURATED)
        return rows

    chosen = [row.id for row in in_transaction(choose)]
    if json:
        output.document({"models": chosen, "state": "recommended"})
    else:
        output.table(({"recommended": model_id} for model_id in chosen), empty="The rule chooses none.")


@catalog.command(name="uncurate")
def uncurate(*model_ids: str, json: Json = False) -> None:
    """Stop recommending models."""
    _say(model_ids, lambda conn: catalog_search.set_flags(conn, model_ids, curated=False), "not recommended", json)


@catalog.command(name="disable")
def disable(*model_ids: str, json: Json = False) -> None:
    """Stop all sales on models until they are enabled again; no sync changes that."""
    _say(model_ids, lambda conn: catalog_search.set_flags(conn, model_ids, disabled=True), "disabled", json)


@catalog.command(name="enable")
def enable(*model_ids: str, json: Json = False) -> None:
    """Allow sales on models again."""
    _say(model_ids, lambda conn: catalog_search.set_flags(conn, model_ids, disabled=False), "enabled", json)


@catalog.command(name="modality")
def override_modality(kind: ModelModality | Literal["as-listed"], /, *model_ids: str, json: Json = False) -> None:
    """Set the kind of models, whatever the provider lists. It affects search only, not sales.

    Args:
        kind: `as-listed` goes back to the provider's kind.
        model_ids: the models.
    """
    modality = None if kind == "as-listed" else kind
    _say(model_ids, lambda conn: catalog_search.override_modality(conn, model_ids, modality), kind, json)


@catalog.command(name="status")
def status(*, json: Json = False) -> None:
    """Show the last syncs, and the rows of the list that could not be read."""

    async def collect(conn: db.Connection) -> tuple[list[Any], list[Any]]:
        return await catalog_search.syncs(conn, _SYNCS), await catalog_search.quarantine(conn)

    syncs, bad = ([row._asdict() for row in rows] for rows in in_transaction(collect))
    if json:
        output.document({"syncs": syncs, "quarantine": bad})
    else:
        output.table(syncs, empty=_NEVER)
        output.line()
        output.table(bad, empty="Nothing is in quarantine.")


def _say(model_ids: Sequence[str], change: Callable[[db.Connection], Awaitable[None]], state: str, json: bool) -> None:
    if not model_ids:
        raise InvalidInput({"model": "name at least one; `instant catalog list` shows them"})
    in_transaction(change)
    if json:
        output.document({"models": model_ids, "state": state})
    else:
        output.line(f"{', '.join(model_ids)}: {state}.")


def _document(row: Any) -> dict[str, Any]:
    """Convert a row without its sort columns; prices with all their digits, and never with an exponent."""
    kept = {name: value for name, value in row._asdict().items() if not name.startswith("sort_")}
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in kept.items()}


def _cell(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value
