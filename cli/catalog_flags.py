"""`instant catalog curate`, `uncurate`, `disable`, `enable`, `modality`: the operator's flags, which no sync sets."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from cli import output
from cli.shared import Flag, Json, in_transaction
from core import db
from core.catalog import search as catalog_search
from core.db.states import ModelModality
from core.failures import InvalidInput

# The rule chooses at most 30.
_CURATED = 100


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


def uncurate(*model_ids: str, json: Json = False) -> None:
    """Stop recommending models."""
    _say(model_ids, lambda conn: catalog_search.set_flags(conn, model_ids, curated=False), "not recommended", json)


def disable(*model_ids: str, json: Json = False) -> None:
    """Stop all sales on models until they are enabled again; no sync changes that."""
    _say(model_ids, lambda conn: catalog_search.set_flags(conn, model_ids, disabled=True), "disabled", json)


def enable(*model_ids: str, json: Json = False) -> None:
    """Allow sales on models again."""
    _say(model_ids, lambda conn: catalog_search.set_flags(conn, model_ids, disabled=False), "enabled", json)


def override_modality(kind: ModelModality | Literal["as-listed"], /, *model_ids: str, json: Json = False) -> None:
    """Set the kind of models, whatever the provider lists. It affects search only, not sales.

    Args:
        kind: `as-listed` goes back to the provider's kind.
        model_ids: the models.
    """
    modality = None if kind == "as-listed" else kind
    _say(model_ids, lambda conn: catalog_search.override_modality(conn, model_ids, modality), kind, json)


def _say(model_ids: Sequence[str], change: Callable[[db.Connection], Awaitable[None]], state: str, json: bool) -> None:
    if not model_ids:
        raise InvalidInput({"model": "name at least one; `instant catalog list` shows them"})
    in_transaction(change)
    if json:
        output.document({"models": model_ids, "state": state})
    else:
        output.line(f"{', '.join(model_ids)}: {state}.")
