"""`instant catalog`: sync the models that prompts can be sold on, and set prices that no list has."""

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli import output
from cli.catalog_flags import curate, disable, enable, override_modality, uncurate
from cli.catalog_models import list_models, show_model
from cli.shared import DECIMAL, Flag, Json, in_transaction, meet_prefect
from core import db
from core.catalog import changes as catalog_changes
from core.catalog import manual_prices
from core.catalog import search as catalog_search
from core.catalog.changes import News
from core.failures import Misconfigured
from core.resources.repricing import reprice
from core.settings import settings

catalog = App(name="catalog")
catalog.command(list_models, name="list")
catalog.command(show_model, name="show")
catalog.command(curate, name="curate")
catalog.command(uncurate, name="uncurate")
catalog.command(disable, name="disable")
catalog.command(enable, name="enable")
catalog.command(override_modality, name="modality")

_SYNCS = 10
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
    prompt_usd: Annotated[Decimal, DECIMAL],
    completion_usd: Annotated[Decimal, DECIMAL],
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
