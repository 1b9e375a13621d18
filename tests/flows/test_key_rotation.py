"""The flow `key_rotation`, against a real Prefect server."""

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from core import db
from core.notices import addresses
from core.secrets.private import Private
from core.secrets.vault import new_master_key, vault
from core.settings import settings
from flows.key_rotation import key_rotation
from tests.callers import environment

pytestmark = pytest.mark.usefixtures("own_database", "prefect_server")


async def test_everything_is_sealed_anew_with_progress_to_be_seen() -> None:
    """Its message says when the old key may be dropped, and its progress is an artifact."""
    old = settings().master_keys.get_secret_value()
    async with db.pool() as pool:
        await addresses.add(pool, None, Private("json://127.0.0.1/x"))
        with environment(INSTANT_MASTER_KEYS=f"{new_master_key('next')},{old}"):
            vault.cache_clear()
            state = await key_rotation(return_state=True)
        vault.cache_clear()

    assert state.is_completed()
    assert str(state.message).startswith(
        "sealed 1 values anew under 'next'; 'test' opens nothing in this database since "
    )
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["key-rotation"]))
        left = [(one.flow_run_id, one.data) for one in await client.read_artifacts(artifact_filter=wanted)]
    assert left == [(state.state_details.flow_run_id, 100.0)]
