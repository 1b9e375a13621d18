"""Rules that exist in SQL and in Python agree on every possible value."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.catalog.model import ABSENCE_TOLERATED
from core.failures import InvalidInput
from core.providers.model_ids import provider_of
from core.resources import call_cost, draft
from tests import selling

Connection = psycopg.Connection[tuple[Any, ...]]

IDS = st.text(st.sampled_from("ab-./:~1"), min_size=1, max_size=12) | st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30
)
# A draft, and what a model needs at least to serve it.
LIMITED: dict[str, Any] = {"modality": "text", "max_output_tokens": 101, "reasoning_effort": "low"}
FITTING: dict[str, Any] = {
    "takes": {"text"},
    "kinds": [],
    "makes": {"text"},
    "asked_for": LIMITED,
    "limits": (101, 480),
    "reasons": {"supported_efforts": ["low"]},
    "is_asked": True,
}
# Never today: SQL and Python may read their clocks before and after midnight.
DAYS = st.none() | st.integers(-5, 5).filter(bool)


@pytest.fixture(scope="module")
def asked(database: str) -> Iterator[Connection]:
    """A connection for single queries."""
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture(scope="module")
def served_by(asked: Connection) -> str:
    """The expression behind the column `models.served_by`."""
    ((expression,),) = asked.execute(
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum"
        " WHERE adrelid = 'models'::regclass AND attname = 'served_by'"
    ).fetchall()
    return str(expression)


@given(model_id=IDS)
@example(model_id="anthropic:claude-sonnet-4-5")
@example(model_id="anthropic/claude-sonnet-4.5:thinking")
@example(model_id=":free")
@settings(deadline=None)
def test_who_serves_a_model(asked: Connection, served_by: str, model_id: str) -> None:
    """The column and `provider_of` find the same provider for an id."""
    ((provider,),) = asked.execute(f"SELECT {served_by} FROM (SELECT %s::text AS id) AS given", [model_id]).fetchall()  # noqa: S608

    assert provider == provider_of(model_id)[0]


@given(
    disabled=st.booleans(),
    not_sellable=st.sampled_from([None, "alias", "free_variant", "unknown_price"]),
    missing_days=DAYS,
    days_left=DAYS,
)
@settings(deadline=None)
def test_what_stops_a_model(
    asked: Connection, disabled: bool, not_sellable: str | None, missing_days: int | None, days_left: int | None
) -> None:
    """Publishing refuses a model exactly when a sale on it would be stopped."""
    now = datetime.now(UTC)
    model = selling.model(
        disabled=disabled,
        not_sellable=not_sellable,
        alias_target="test/other" if not_sellable == "alias" else None,
        missing_since=None if missing_days is None else now - timedelta(days=missing_days, minutes=5),
        expires_on=None if days_left is None else (now + timedelta(days=days_left)).date(),
    )
    ((obstacle,),) = asked.execute(
        "SELECT model_obstacle(jsonb_populate_record(NULL::models, %s::jsonb), %s)",
        [model.model_dump_json(), ABSENCE_TOLERATED],
    ).fetchall()
    refused = nullcontext() if obstacle is None else pytest.raises(InvalidInput)
    with refused:
        call_cost.refuse_unsupported(draft.read(selling.content(model=model.id)), model)


@given(
    takes=st.just({"text", "image", "file"}) | st.sets(st.sampled_from(["text", "image", "file"])),
    kinds=st.lists(st.sampled_from(["image", "file"]), max_size=2),
    makes=st.just({"text", "image"}) | st.sets(st.sampled_from(["text", "image"]), min_size=1),
    asked_for=st.fixed_dictionaries(
        {
            "modality": st.sampled_from(["text", "json", "image"]),
            "max_output_tokens": st.sampled_from([16, 100, 101, 400]),
            "reasoning_effort": st.sampled_from([None, "none", "low", "high"]),
        }
    ),
    limits=st.tuples(*[st.sampled_from([None, 100, 480])] * 2),
    reasons=st.sampled_from(
        [{}, {"mandatory": True}, {"mandatory": "yes"}, {"supported_efforts": ["low"]}, "nonsense"]
    ),
    is_asked=st.booleans(),
)
@example(**FITTING)
@example(**FITTING | {"makes": {"image"}})
@example(**FITTING | {"limits": (100, None)})
@example(**FITTING | {"limits": (None, 101)})
@example(**FITTING | {"is_asked": False})
@example(**FITTING | {"reasons": {"supported_efforts": ["high"]}})
@example(**FITTING | {"asked_for": LIMITED | {"reasoning_effort": "none"}, "reasons": {"mandatory": True}})
@example(**FITTING | {"kinds": ["image"], "takes": {"text"}})
@settings(deadline=None, max_examples=60)
def test_what_a_model_serves(
    asked: Connection,
    takes: set[str],
    kinds: list[str],
    makes: set[str],
    asked_for: dict[str, Any],
    limits: tuple[int | None, int | None],
    reasons: object,
    is_asked: bool,
) -> None:
    """Publishing refuses a draft exactly when a sale of it would be stopped, whatever the model lacks."""
    model = selling.model(
        input_modalities=sorted(takes),
        output_modalities=sorted(makes),
        max_completion_tokens=limits[0],
        context_length=limits[1],
        supported_parameters=["reasoning"] if is_asked else [],
        raw={"reasoning": reasons},
    )
    if "file" in kinds and model.context_length is None:
        # A file on a model of unknown context costs more than any cap.
        kinds = []
    parameters = [{"name": f"p{number}", "type": kind, "max_bytes": 9} for number, kind in enumerate(kinds)]
    wanted = draft.read(
        selling.content(model=model.id, template="Write.", parameters=[{"name": "topic"}, *parameters], **asked_for)
    )
    version = wanted.model_dump_json(include={"parameters", *asked_for})
    ((is_sold,),) = asked.execute(
        "SELECT serves(jsonb_populate_record(NULL::models, %s::jsonb),"
        " jsonb_populate_record(NULL::resource_versions, %s::jsonb))",
        [model.model_dump_json(), version],
    ).fetchall()
    with nullcontext() if is_sold else pytest.raises(InvalidInput):
        call_cost.refuse_unsupported(wanted, model)
