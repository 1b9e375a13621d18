"""Applying a list to the catalog's table."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from psycopg import AsyncConnection

from core.catalog import changes as catalog_changes
from core.catalog import model_list
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.catalog.model import NOT_LISTED, Model
from core.catalog.model_list import ListRefused
from core.resources.repricing import reprice
from tests.model_lists import any_row, any_value, listed, listing, table, why


async def apply(conn: AsyncConnection, *rows: object) -> dict[str, int]:
    synced = await catalog_sync.apply(conn, reprice, *model_list.parse(listing(*rows)))
    counts = ("added", "changed", "unchanged", "returned", "missing", "quarantined")
    return {name: getattr(synced, name) for name in counts if getattr(synced, name)}


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=any_row, extra=any_value)
@example(row=listed(name="\\u0000"), extra=None)
@example(row=listed(), extra={"\0": "\\\0"})
async def test_what_is_read_can_be_stored(conn: AsyncConnection, row: dict[str, Any], extra: object) -> None:
    """Whatever parse lets through, Postgres takes: one strange row cannot fail a sync."""
    models, bad = model_list.parse(listing(row | {"id": "a/b", "extra": extra}, listed("c/d")))

    await catalog_sync.apply(conn, reprice, models, bad)

    stored = await table(conn)
    assert [row.id for row in stored] == (["c/d"] if bad else ["a/b", "c/d"])
    await conn.rollback()


async def test_counts(conn: AsyncConnection) -> None:
    """Each listed model is added, changed, unchanged or returned, each absent one missing, each bad row put aside."""
    six = [listed(f"m/{n}") for n in range(6)]

    assert await apply(conn, *six) == {"added": 6}
    assert await apply(conn, *six) == {"unchanged": 6}
    assert await apply(conn, *six[:5], 7) == {"unchanged": 5, "missing": 1, "quarantined": 1}
    assert await apply(conn, *six[:5]) == {"unchanged": 5}
    assert await apply(conn, six[5], listed("m/0", name="New"), *six[1:5], listed("m/6")) == {
        "added": 1,
        "changed": 1,
        "unchanged": 4,
        "returned": 1,
    }


async def test_find_gives_what_was_listed(conn: AsyncConnection) -> None:
    """A model comes back from the table as it was read, exact prices and unknown fields included."""
    row = listed(pricing={"prompt": "0.0000000416666666666667", "completion": "1e-7"}, new={"a": [1, None, "ü"]})
    await apply(conn, row)

    assert await catalog.find(conn, "maker/model") == model_list.parse(listing(row))[0][0]
    assert await catalog.find(conn, "maker/other") is None


@pytest.mark.parametrize(("listed_as", "shown"), [("As told", "As told"), (7, ""), (None, ""), ({"a": 1}, "")])
async def test_descriptions(conn: AsyncConnection, listed_as: object, shown: str) -> None:
    """A description is text, or there is none."""
    await apply(conn, listed("a/b", description=listed_as))

    assert (await catalog.show(conn, "a/b")).description == shown


async def test_an_absence_is_marked_and_forgiven(conn: AsyncConnection) -> None:
    """An absent model keeps its row and the time of its first absence; a return clears it, changed or not."""
    six = [listed(f"m/{n}") for n in range(6)]
    await apply(conn, *six)
    await apply(conn, *six[1:])
    await conn.execute("UPDATE models SET missing_since = '2026-01-01' WHERE id = 'm/0'")
    await apply(conn, *six[1:])

    absent = await catalog.find(conn, "m/0")
    assert absent is not None
    assert absent.missing_since is not None
    assert absent.missing_since.year == 2026
    assert absent.missing_since.month == 1

    assert (await apply(conn, listed("m/0", name="New"), *six[1:]))["returned"] == 1
    assert [row.missing_since for row in await table(conn)] == [None] * 6
    assert (await table(conn))[0].name == "New"


async def test_unchanged_rows_are_not_written(conn: AsyncConnection) -> None:
    """A sync without news writes no row."""
    await apply(conn, listed("m/0"), listed("m/1"))
    before = await (await conn.execute("SELECT id, ctid FROM models ORDER BY id")).fetchall()

    await apply(conn, listed("m/1"), listed("m/0"))

    assert await (await conn.execute("SELECT id, ctid FROM models ORDER BY id")).fetchall() == before


READ = sorted(set(Model.model_fields) - {"id", "raw", *NOT_LISTED})


@pytest.mark.parametrize("column", READ)
async def test_what_we_read_is_compared_too(conn: AsyncConnection, column: str) -> None:
    """When our reading of the same row changes, in whatever column, the table follows."""
    row = listed("m/0", pricing={"prompt": "1", "completion": "1", "image_output": "1"})
    await apply(conn, row)
    values = {"text": "'audio'", "integer": "7", "numeric": "7", "text[]": "'{before}'", "date": "'2026-01-01'"}
    values["jsonb"] = "'[{\"above\": 7}]'" if column == "price_tiers" else '\'{"before": "7"}\''
    values["timestamp with time zone"] = values["date"]
    (kind,) = await anext(await conn.execute(f"SELECT pg_typeof({column})::text FROM models"))  # noqa: S608
    await conn.execute(f"UPDATE models SET {column} = {values[kind]}")  # noqa: S608 - a column of ours

    assert await apply(conn, row) == {"changed": 1}
    assert await catalog.find(conn, "m/0") == model_list.parse(listing(row))[0][0]


async def test_the_operators_switches_stay(conn: AsyncConnection) -> None:
    """No sync writes what the operator said: not by a change, not by an absence and a return."""
    six = [listed(f"m/{n}") for n in range(6)]
    await apply(conn, *six)
    await catalog.set_flags(conn, ["m/0"], curated=True, disabled=True)
    await catalog.override_modality(conn, ["m/0"], "audio")

    await apply(conn, *six[1:])
    await apply(conn, *six)
    await apply(conn, listed("m/0", name="New"), *six[1:])

    switches = [(row.curated, row.modality_override, row.disabled) for row in await table(conn)]
    assert switches == [(True, "audio", True)] + [(False, None, False)] * 5


async def test_a_fifth_may_go_missing_and_no_more(conn: AsyncConnection) -> None:
    """Losing a fifth of the present models is churn; one more is a truncated list, refused with nothing changed."""
    ten = [listed(f"m/{n}") for n in range(10)]
    await apply(conn, *ten)
    before = await table(conn)

    with pytest.raises(ListRefused, match="shrunk"):
        await apply(conn, *ten[3:], *[listed(f"new/{n}") for n in range(5)])
    assert await table(conn) == before

    assert await apply(conn, *ten[2:]) == {"unchanged": 8, "missing": 2}
    assert await apply(conn, *ten[3:]) == {"unchanged": 7, "missing": 1}


async def test_an_operator_may_accept_a_loss(conn: AsyncConnection) -> None:
    """A catalog that nobody synced for months has really lost more than a fifth; an empty list stays refused."""
    ten = [listed(f"m/{n}") for n in range(10)]
    await apply(conn, *ten)

    with pytest.raises(ListRefused, match=r"7 of 10 models .* --accept-loss"):
        await apply(conn, *ten[:3])
    synced = await catalog_sync.apply(conn, reprice, *model_list.parse(listing(*ten[:3])), accept_loss=True)

    assert (synced.unchanged, synced.missing) == (3, 7)
    assert why({"data": []}) == "empty"


async def history(conn: AsyncConnection, model_id: str) -> list[Any]:
    """What the history tells of a model, oldest first."""
    return list(reversed(await catalog.history(conn, model_id)))


async def test_history_has_every_change_once(conn: AsyncConnection) -> None:
    """Prices, capabilities, absences and returns are kept; what a list repeats, and what is no such thing, is not."""
    others = [listed(f"m/{n}") for n in range(1, 6)]
    dear = {"prompt": "0.000008", "completion": "0.000016"}
    for rows in (
        [listed("m/0")],
        [listed("m/0")],
        [listed("m/0", description="new words", benchmarks={"new": 1})],
        [listed("m/0", pricing=dear)],
        [],
        [],
        [listed("m/0", pricing=dear)],
        [listed("m/0", pricing=dear, supported_parameters=["tools"])],
        [listed("m/0", pricing={"prompt": "-1", "completion": "-1"}, supported_parameters=["tools"])],
    ):
        await apply(conn, *rows, *others)

    told = [(row.listed, row.completion_usd, row.capabilities) for row in await history(conn, "m/0")]
    assert told == [
        (True, Decimal("0.000002"), []),
        (True, Decimal("0.000016"), []),
        (False, Decimal("0.000016"), []),
        (True, Decimal("0.000016"), []),
        (True, Decimal("0.000016"), ["tools"]),
        (True, None, ["tools"]),
    ]
    assert len(await history(conn, "m/1")) == 1


async def test_the_news_of_a_sync(conn: AsyncConnection) -> None:
    """What was added, lost, returned, repriced or changed is told by name, before and after, most pressing first."""
    rest = [listed(f"m/{n}") for n in range(6)]
    await apply(conn, listed("m/back"), *rest)
    await apply(conn, *rest)
    # Each sync has a time of its own, as it has a transaction of its own.
    await conn.execute("UPDATE model_history SET at = at - interval '1 day'")
    changed = [
        listed("m/1", pricing={"prompt": "0.000002", "completion": "0.0000025", "request": "0.01"}),
        listed("m/2", top_provider={"max_completion_tokens": 1024}, supported_parameters=["seed"]),
        listed("m/3", pricing={"prompt": "-1", "completion": "1"}),
    ]
    synced = await catalog_sync.apply(
        conn, reprice, *model_list.parse(listing(*changed, *rest[4:], listed("m/back"), listed("m/new"), {}))
    )

    assert catalog_changes.table(synced.news) == [
        {"what": "lost", "model": "m/0", "was": "listed", "is": "not listed"},
        {
            "what": "repriced",
            "model": "m/1",
            "was": "$1 in, $2 out per million tokens",
            "is": "$2 in, $2.5 out per million tokens, $0.01 a call",
        },
        {
            "what": "repriced, changed",
            "model": "m/3",
            "was": "$1 in, $2 out per million tokens; obstacle -",
            "is": "price unknown; obstacle unknown_price",
        },
        {"what": "returned", "model": "m/back", "was": "not listed", "is": "listed"},
        {
            "what": "changed",
            "model": "m/2",
            "was": "longest answer 4096; parameters -temperature",
            "is": "longest answer 1024; parameters +seed",
        },
        {"what": "added", "model": "m/new", "was": "", "is": "$1 in, $2 out per million tokens"},
        {"what": "in quarantine", "model": "row 7", "was": "", "is": "no_id"},
    ]
    assert synced.summary() == ("1 added, 1 missing, 1 returned, 2 repriced, 3 changed, 2 unchanged, 1 in quarantine")
    assert await catalog_changes.read(conn, synced.at) == synced.news


async def test_long_lists_are_compared_in_linear_time(conn: AsyncConnection) -> None:
    """A provider decides how many parameters a model has; the report names their number."""
    await apply(conn, listed("m/1", supported_parameters=[f"a{n}" for n in range(20_000)]))
    await conn.execute("UPDATE model_history SET at = at - interval '1 hour'")
    synced = await catalog_sync.apply(
        conn,
        reprice,
        *model_list.parse(listing(listed("m/1", supported_parameters=[f"b{n}" for n in range(20_000)]))),
    )
    began = time.process_time()
    (change,) = await catalog_changes.changes(conn, synced.at, synced.at)

    assert (change.before, change.now) == ("parameters -20000", "parameters +20000")
    assert time.process_time() - began < 2


async def test_quarantine_is_of_the_last_list(conn: AsyncConnection) -> None:
    """A bad row is kept with its reason since when it is bad, and is gone when the list no longer has it."""
    await apply(conn, listed("a/a"), {"no": "id"}, listed("b/b", name="\0"))
    await conn.execute("UPDATE quarantined_models SET first_seen_at = '2026-01-01'")
    await apply(conn, listed("a/a"), listed("b/b", name="\0\0"))

    ((bad_id, reason, since, beginning),) = await catalog.quarantine(conn)
    assert (bad_id, reason, since.month) == ("b/b", "unstorable_text", 1)
    assert json.loads(beginning)["name"] == "\0\0"

    await apply(conn, listed("a/a"))
    assert await catalog.quarantine(conn) == []
