"""The model browser beside the form of a prompt: search, filters, and what each model costs and can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from pydantic import ValidationError

from api.catalog import Filter
from api.pages.forms import Form
from core import db
from core.catalog import search as catalog
from core.db.states import Modality
from core.resources import field_errors

MODELS_OF_A_PAGE: Final = 12
SORTS: Final = {"popular": "Most used here", "price": "Cheapest", "newest": "Newest", "context": "Longest context"}
_PREFIX: Final = "models_"
_NAMES: Final = ("search", "capability", "maxPrice", "minContext", "sort")


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the browser shows.

    Attributes:
        asked: the filters as they were typed, by name.
        models: the first that match.
        wrong: what cannot be read in the filters; empty if nothing.
        more: whether others match too.
    """

    asked: dict[str, str]
    models: Sequence[catalog.ListedModel]
    wrong: str
    more: bool


async def browse(conn: db.Connection, form: Form, modality: str) -> Shelf:
    """Find the models that fit the filters, and that such a prompt can be sold on.

    Args:
        conn: the transaction.
        form: with the filters, each under `models_` and its name of `GET /models`.
        modality: of the prompt.
    """
    asked = {name: form.text(_PREFIX + name) for name in _NAMES}
    asked["sort"] = asked["sort"] or ("" if asked["search"] else "popular")
    chosen: dict[str, object] = {name: value for name, value in asked.items() if value}
    if "capability" in chosen:
        chosen["capability"] = [asked["capability"]]
    if modality in get_args(Modality):
        chosen["sellsAs"] = modality
    try:
        filters = Filter.model_validate(chosen).filters()
    except ValidationError as error:
        told = field_errors.sentences(Filter, error)
        return Shelf(asked, (), "; ".join(f"{name} {sentence}" for name, sentence in told.items()), more=False)
    rows, following = await catalog.page(conn, filters, after=None, most=MODELS_OF_A_PAGE)
    return Shelf(asked, rows, "", following is not None)
