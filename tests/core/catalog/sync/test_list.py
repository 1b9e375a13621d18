"""Reading a whole list: what is put aside, and what refuses the list."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.catalog import model_list
from core.catalog.model_list import ListRefused
from tests.model_lists import any_row, any_value, listed, listing, read, why


@pytest.mark.parametrize(
    ("row", "place", "reason"),
    [
        (7, "row 1", "no_id"),
        ({}, "row 1", "no_id"),
        ({"id": 7}, "row 1", "no_id"),
        ({"id": ""}, "row 1", "no_id"),
        ({"id": "a b"}, "id 'a b'", "unreadable_id"),
        ({"id": "row 1"}, "id 'row 1'", "unreadable_id"),
        ({"id": "modèle\ud800\0"}, r"id 'mod\xe8le\ud800\x00'", "unreadable_id"),
        ({"id": "x" * 201}, "id '" + "x" * 199, "unreadable_id"),
        (listed("b/b", name="a\0"), "b/b", "unstorable_text"),
        (listed("b/b", deep=[{"x": "\ud800"}]), "b/b", "unstorable_text"),
        (listed("b/b", huge=float("inf")), "b/b", "unstorable_text"),
    ],
)
def test_a_bad_row_is_put_aside(row: object, place: str, reason: str) -> None:
    """One row that cannot be kept is put aside with its reason, and its neighbours are read."""
    models, quarantined = model_list.parse(listing(listed("a/a"), row, listed("c/c")))

    assert [model.id for model in models] == ["a/a", "c/c"]
    assert [(bad.id, bad.reason) for bad in quarantined] == [(place, reason)]
    assert json.dumps(row).startswith(quarantined[0].listed)


def test_rows_of_one_id() -> None:
    """A row that is listed twice is one model; rows that contradict each other are none."""
    same = listing(listed("a/a"), listed("b/b"), listed("a/a"))
    contradicting = listing(listed("a/a"), listed("b/b"), listed("a/a", pricing={}), listed("a/a"))

    assert [model.id for model in model_list.parse(same)[0]] == ["a/a", "b/b"]
    models, (bad,) = model_list.parse(contradicting)
    assert [model.id for model in models] == ["b/b"]
    assert (bad.id, bad.reason) == ("a/a", "contradiction")


def test_odd_fields_do_not_cost_a_row() -> None:
    """Fields of unexpected types read as not told; the row stays."""
    model = read(
        name=None, context_length="8k", architecture=None, top_provider=[], supported_parameters=[1, "stop"], pricing=3
    )

    assert (model.name, model.context_length, model.max_completion_tokens) == ("maker/model", None, None)
    assert (model.supported_parameters, model.not_sellable) == (("stop",), "unsupported_modality")
    assert read(context_length=2**31).context_length is None


def test_an_escaped_backslash_is_no_nul() -> None:
    """Text that spells out an escape is text."""
    assert read(name="\\u0000").name == "\\u0000"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (None, "malformed"),
        ([], "malformed"),
        ({}, "malformed"),
        ({"error": {"code": 500}}, "malformed"),
        ({"data": {}}, "malformed"),
        ({"data": []}, "empty"),
        ({"data": [{}, 7]}, "empty"),
        ({"data": [listed()], "links": {"next": "/api/v1/models?offset=1"}}, "truncated"),
        ({"data": [listed()], "total_count": 2}, "truncated"),
    ],
)
def test_a_list_that_cannot_be_trusted(document: object, reason: str) -> None:
    """What is no list, holds no model, or says that there is more, is refused whole."""
    assert why(document) == reason


def test_a_list_without_totals() -> None:
    """Older answers hold only `data`."""
    assert len(model_list.parse({"data": [listed()]})[0]) == 1


@given(document=any_value | st.builds(lambda rows: {"data": rows}, st.lists(any_value | any_row)))
def test_parse_reads_or_refuses(document: object) -> None:
    """On any JSON, parse answers or raises Refused; a sellable model has known, finite, non-negative prices."""
    try:
        models, _ = model_list.parse(document)
    except ListRefused:
        return

    for model in models:
        if model.not_sellable is None:
            assert model.prompt_usd is not None
            assert model.completion_usd is not None
            assert min(model.prompt_usd, model.completion_usd, model.request_usd or Decimal(0)) >= 0
