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

from core import catalog, db
from flows.catalog_sync import catalog_sync

pytestmark = pytest.mark.usefixtures("own_database", "prefect_server")


async def counts_of(state: State[Any]) -> list[dict[str, int]]:
    """What the run of this state left as artifacts."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["catalog"])))
    return [json.loads(str(left.data))[0] for left in found if left.flow_run_id == state.state_details.flow_run_id]


def stored_results() -> set[Path]:
    """The files of Prefect's result storage."""
    return set(Path(os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"]).rglob("*"))


async def test_a_sync_fills_the_catalog_and_leaves_its_counts(practice_openrouter: str) -> None:
    """After a run every listed model is in the catalog and its counts are an artifact; no result is stored."""
    stored_before = stored_results()
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{practice_openrouter}/models", params={"output_modalities": "all"})
    models, skipped = catalog.parse(answer.json())

    state = await catalog_sync(return_state=True)

    assert state.is_completed()
    assert await state.result() is None
    async with db.transaction() as conn:
        assert [await catalog.find(conn, model.id) for model in models] == models
    (counts,) = await counts_of(state)
    assert counts["added"] + counts["changed"] + counts["unchanged"] + counts["returned"] == len(models)
    assert counts["skipped"] == len(skipped)
    assert stored_results() == stored_before


@pytest.mark.usefixtures("practice_openrouter")
async def test_a_refused_sync_fails_with_its_code() -> None:
    """When the list cannot be trusted the run fails at once, naming only our code, and the catalog stays."""
    strangers = catalog.parse({"data": [{"id": f"stranger/{number}"} for number in range(1000)]})[0]
    async with db.transaction() as conn:
        listed = await (await conn.execute("SELECT id FROM models WHERE missing_since IS NULL")).fetchall()
        await conn.execute("UPDATE models SET missing_since = now()")
        await catalog.apply(conn, strangers)

    state = await catalog_sync(return_state=True)

    async with db.transaction() as conn:
        present = await (await conn.execute("SELECT id FROM models WHERE missing_since IS NULL")).fetchall()
        await conn.execute("DELETE FROM models WHERE id LIKE 'stranger/%'")
        await conn.execute("UPDATE models SET missing_since = NULL WHERE id = ANY(%s)", [[row.id for row in listed]])
    assert state.is_failed()
    assert "catalog_refused (shrunk)" in str(state.message)
    assert {row.id for row in present} == {model.id for model in strangers}
    assert await counts_of(state) == []
