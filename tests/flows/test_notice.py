"""The flows for notices: their artifacts in Prefect, and secrets that Prefect must not store."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State

from core import db
from core.notices import addresses
from core.secrets.private import Private
from core.settings import settings
from flows.notice import notice
from flows.usage_rollup import usage_rollup
from tests import leaks, past, shops
from tests.past import Calls
from tests.receivers import receiver

pytestmark = pytest.mark.usefixtures("own_database", "surroundings")


async def page_of(state: State[Any]) -> str:
    """The report from the run of this state."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["usage"])))
    (mine,) = [str(one.data) for one in found if one.flow_run_id == state.state_details.flow_run_id]
    return mine


async def test_the_day_is_reported_and_people_are_told() -> None:
    """A page with a chart after each rollup; then the notice; and neither key nor address is in Prefect."""
    async with db.pool() as pool, receiver() as here:
        shop = await shops.open_shop(pool)
        word = leaks.canary("address")
        await addresses.add(pool, shop.account.id, Private(f"{here.url()}/{word}"))
        failed = Calls(datetime.now(UTC), 9, "failed", "provider_401", "creator", cost_usd=None)
        await past.happened(pool, await shop.version(pool), [failed])
        await shop.openrouter(revoked=True)

        counted = await usage_rollup(return_state=True)
        told = await notice(return_state=True)

    assert counted.is_completed()
    page = await page_of(counted)
    assert "| calls | 9 |" in page
    assert shop.path in page
    assert "data:image/png;base64," in page
    assert told.is_completed()
    assert "1 rejected" in str(told.message)
    assert "2 new notices; 2 sent" in str(told.message)
    titles = {posted["title"] for _, posted in here.posted}
    assert titles == {f"{shop.path}: 0 % of its calls succeed", f"@{shop.account.handle}: OpenRouter rejects your key"}
    secrets = {"address": word, "key": shop.key}
    prefect = settings().prefect_database_url
    assert prefect
    assert await leaks.in_database(prefect.get_secret_value(), secrets) == {}
    assert leaks.in_files(Path(os.environ["PREFECT_HOME"]), secrets) == {}
