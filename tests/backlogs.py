"""Runs that Prefect's scheduler made and nobody took."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from core.settings import settings


async def backlog(prefect: PrefectClient, deployment_id: UUID, hours: int) -> list[FlowRun]:
    """As many runs of a deployment that runs hourly, oldest first, that were due before the present hour."""
    this = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    first, last = this - timedelta(hours=hours), this - timedelta(seconds=1)
    asked = {"start_time": first.isoformat(), "end_time": last.isoformat(), "min_runs": hours}
    async with httpx.AsyncClient(base_url=settings().prefect_api_url) as http:
        (await http.post(f"/deployments/{deployment_id}/schedule", json=asked)).raise_for_status()
    return await prefect.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=hours,
    )
