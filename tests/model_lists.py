"""Rows and lists of models, as OpenRouter lists them, and what our reader makes of them."""

from typing import Any

import pytest
from hypothesis import strategies as st
from psycopg import AsyncConnection

from core.catalog import model_list
from core.catalog.model import Model
from core.catalog.model_list import ListRefused

TEXT = {"input_modalities": ["text"], "output_modalities": ["text"]}


def listed(model_id: str = "maker/model", **fields: Any) -> dict[str, Any]:
    row = {
        "id": model_id,
        "name": "Maker: Model",
        "context_length": 8192,
        "architecture": TEXT,
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "top_provider": {"max_completion_tokens": 4096},
        "supported_parameters": ["temperature"],
    }
    return row | fields


def listing(*rows: object) -> dict[str, object]:
    return {"data": list(rows), "total_count": len(rows), "links": {"next": None}}


def read(**fields: Any) -> Model:
    (model,), quarantined = model_list.parse(listing(listed(**fields)))
    assert not quarantined
    return model


def priced(**pricing: object) -> Model:
    return read(pricing={"prompt": "0.000001", "completion": "0.000002"} | pricing)


async def table(conn: AsyncConnection) -> list[Any]:
    return await (await conn.execute("SELECT * FROM models ORDER BY id")).fetchall()


def why(document: object) -> str:
    with pytest.raises(ListRefused, match="catalog_refused") as caught:
        model_list.parse(document)
    return caught.value.reason


any_price = st.decimals(min_value=0, max_value=1, places=12).map(lambda price: format(price, "f"))
any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | any_price,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=12,
)
any_row = st.dictionaries(st.sampled_from(sorted(listed())), any_value).map(lambda fields: listed() | fields)
