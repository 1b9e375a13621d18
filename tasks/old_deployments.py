"""Deployments of scheduled flows under the names that earlier versions gave them. They must not go on scheduling."""

from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import DeploymentStatus
from prefect.client.schemas.responses import DeploymentResponse

from core import db
from core.process import scheduled_runs
from core.settings import settings
from tasks import unfinished_runs

_NAMES = ["daily", "every-5-minutes", "hourly", "nightly"]


async def remove(pool: db.Pool) -> None:
    """Stop, and in the end delete, those whose flows have a deployment of ours under their new name.

    One that a process still serves is that process's: an earlier version's, or another installation's.
    """
    async with pool.connection() as conn:
        known = await scheduled_runs.known(conn)
    ours = {f"flows.{name}.{name}" for name, one in known.items() if one.deployment_id}
    async with get_client() as prefect:
        found = await prefect.read_deployments(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=_NAMES))
        )
        for old in found:
            if old.entrypoint in ours and not _is_served(old):
                await _remove(prefect, old)


def _is_served(deployment: DeploymentResponse) -> bool:
    """Whether a process waits for runs of this one alone; a work pool's worker does so for whatever is in the pool."""
    return deployment.work_pool_name is None and deployment.status == DeploymentStatus.READY


async def _remove(prefect: PrefectClient, old: DeploymentResponse) -> None:
    """Pause it and, once its last runs are over, delete it, because without it nobody could tell whose they were."""
    await prefect.pause_deployment(old.id)
    runs = await prefect.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[old.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=unfinished_runs.IN_HANDS)),
        )
    )
    bound = datetime.now(UTC) - timedelta(seconds=settings().run_silence_seconds)
    if any(run.state and run.state.timestamp > bound for run in runs):
        return
    for run in runs:
        await unfinished_runs.end(prefect, run)
    await prefect.delete_deployment(old.id)
