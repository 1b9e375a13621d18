"""The flow `catalog_sync`, against a real Prefect server and the practice provider."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State

from core import db
from core.catalog import model_list
from core.catalog import search as catalog
from flows.catalog_sync import catalog_sync as flow
from tests import practice_catalog
from tests.shops import open_shop

pytestmark = pytest.mark.usefixtures("own_database", "prefect_server")


async def news_of(state: State[Any], key: str = "catalog") -> list[tuple[str, list[dict[str, str]]]]:
    """The artifacts of the run of this state: description and table."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    run = state.state_details.flow_run_id
    return [(str(left.description), json.loads(str(left.data))) for left in found if left.flow_run_id == run]


def stored_results() -> set[Path]:
    """The files of Prefect's result storage."""
    return set(Path(os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"]).rglob("*"))


async def test_a_sync_fills_the_catalog_and_leaves_its_news(practice_openrouter: str) -> None:
    """After a run every listed model is in the catalog and in an artifact; no result is stored."""
    stored_before = stored_results()
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{practice_openrouter}/models", params={"output_modalities": "all"})
    models, _ = model_list.parse(answer.json())

    state = await flow(return_state=True)

    assert state.is_completed()
    assert state.message == f"{len(models)} added"
    async with db.transaction() as conn:
        found = [db.required(await catalog.find(conn, model.id)) for model in models]
    assert any(model.curated for model in found), "the first sync recommends models"
    assert [model.model_copy(update={"curated": False}) for model in found] == models
    ((description, rows),) = await news_of(state)
    assert description == f"{len(models)} added"
    assert {row["model"] for row in rows} == {model.id for model in models}
    assert {row["what"] for row in rows} == {"added"}
    assert stored_results() == stored_before


async def test_a_repeated_sync_says_that_nothing_changed(practice_openrouter: str) -> None:
    """The practice provider answers 304 to the list's ETag, and the run says so without an empty artifact."""
    await flow()

    state = await flow(return_state=True)

    assert state.message == "not modified: the list is the one that was applied last"
    assert await news_of(state) == await news_of(state, "catalog-day") == []
    async with db.transaction() as conn:
        assert [one.outcome for one in await catalog.syncs(conn, 9)] == ["applied"]


async def test_a_day_has_one_report_of_all_its_syncs(practice_openrouter: str) -> None:
    """The first run from 03:00 UTC on tells what changed since the last report; what changed back is no news."""
    first = await flow(return_state=True)
    ((told_first, _),) = await news_of(first, "catalog-day")
    rows = await practice_catalog.listed()
    priced = {row["id"]: row["pricing"]["completion"] for row in rows}
    for changed in ({"openai/gpt-5-mini": "1", "openai/gpt-5": "1"}, {"openai/gpt-5-mini": "2"}):
        listed = [
            row | {"pricing": row["pricing"] | {"completion": changed.get(row["id"], priced[row["id"]])}}
            for row in rows
        ]
        async with practice_catalog.listing(listed):
            hourly = await flow(return_state=True)
        assert len(await news_of(hourly)) == 1
        assert await news_of(hourly, "catalog-day") == []
    async with db.transaction() as conn:
        await conn.execute("UPDATE catalog_reports SET day = day - 1")

    async with practice_catalog.listing(listed):
        next_day = await flow(return_state=True)

    assert told_first.endswith(f" UTC: {len(rows)} added")
    assert await news_of(next_day) == []
    ((told, table),) = await news_of(next_day, "catalog-day")
    assert told.startswith("since ")
    assert told.endswith(" UTC: 1 repriced")
    assert [(row["what"], row["model"], row["was"]) for row in table] == [
        ("repriced", "openai/gpt-5-mini", "$0.25 in, $2 out per million tokens")
    ]


async def test_what_is_for_sale_on_a_dearer_model_is_named(practice_openrouter: str) -> None:
    """The artifact begins with the resources whose model changed, and the consequences."""
    async with db.pool() as pool:
        shop = await open_shop(pool)
    await flow()
    rows = await practice_catalog.listed()
    for row in rows:
        if row["id"] == "openai/gpt-5-mini":
            row["pricing"] |= {"completion": "0.000016"}

    async with practice_catalog.listing(rows):
        state = await flow(return_state=True)

    ((description, told),) = await news_of(state)
    assert "1 repriced" in description
    assert "1 touched on sale" in description
    assert f"`{shop.path}` on `openai/gpt-5-mini`, for 0.01 USDC: **a call can cost more" in description
    assert (told[0]["what"], told[0]["was"]) == ("on sale", f"{shop.path} at 0.01 USDC")
    assert (told[1]["what"], told[1]["was"]) == ("repriced", "$0.25 in, $2 out per million tokens")
    assert told[1]["is"] == "$0.25 in, $16 out per million tokens"


async def test_a_refused_sync_fails_with_its_code(practice_openrouter: str) -> None:
    """When the list cannot be trusted the run fails at once, with only our code, and the catalog is unchanged."""
    await flow()
    rows = await practice_catalog.listed()

    async with practice_catalog.listing(rows[: len(rows) // 2]):
        state = await flow(return_state=True)
        async with db.transaction() as conn:
            refused = await catalog.page(conn, catalog.Filters(everything=True), most=1000)
        accepted = await flow(accept_loss=True, return_state=True)

    assert state.is_failed()
    assert f"catalog_refused (shrunk): {len(rows) - len(rows) // 2} of {len(rows)}" in str(state.message)
    assert await news_of(state) == []
    assert [row.missing_since for row in refused[0]] == [None] * len(rows)
    assert accepted.is_completed()
    assert f"{len(rows) - len(rows) // 2} missing" in str(accepted.message)
