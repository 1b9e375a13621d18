"""An automation fires, on a Prefect server with the triggers service that `instant dev` leaves out."""

import os

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed

from core.settings import settings
from deployments import automations
from tasks import prefect_adapter
from tasks.prefect_adapter import server_environment
from tests import servers, shops


@flow(name="instant_execution", persist_result=False)
async def fail_by_our_fault() -> State[None]:
    """A run of paid calls that ends as `flows/instant_execution.py` ends them."""
    return Failed(message="1 of 1 failed: 1 sealed_value_unreadable (ours)")


async def test_an_automation_fires(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that fails by our fault triggers the automation of that name, and no other."""
    with servers.database(postgres, "prefect_triggers") as url:
        monkeypatch.setenv("INSTANT_PREFECT_DATABASE_URL", url)
        settings.cache_clear()
        api = f"http://127.0.0.1:{(port := servers.free_port())}/api"
        environment = os.environ | server_environment(settings())
        environment |= {"PREFECT_SERVER_API_PORT": str(port), "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "true"}
        with (
            servers.serving_from_scratch("deployments.prefect_process", ready=f"{api}/health", environment=environment),
            temporary_settings({PREFECT_API_URL: api}),
        ):
            assert await fired() == {"instant: calls failed by our fault"}
    monkeypatch.undo()
    settings.cache_clear()


async def fired(seconds: float = 30) -> set[str | None]:
    """Write the automations, let runs fail until the server knows them, and return the names of those that fired."""
    async with prefect_adapter.clients(), get_client() as prefect:
        await automations.write(prefect)
        names: set[str | None] = set()
        filters = {"filter": {"event": {"name": ["prefect.automation.triggered"]}}}

        async def any_fired() -> bool:
            # The service reads its automations a moment after they were written.
            await fail_by_our_fault(return_state=True)
            found = (await prefect.request("POST", "/events/filter", json=filters)).json()["events"]
            names.update(one["resource"].get("prefect.resource.name") for one in found)
            return bool(names)

        await shops.eventually(any_fired, seconds)
        return names
