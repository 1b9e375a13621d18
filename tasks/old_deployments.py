"""Remove deployments that earlier versions made under other names, so that they schedule no more runs."""

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

# Flows that once had another name.
_FORMER = {"cost_backfill": "reconciliation"}
_NAMES = ["daily", "every-5-minutes", "hourly", "nightly", *_FORMER.values()]


async def remove(pool: db.Pool) -> None:
    """Pause, and in the end delete, old deployments of flows that have a deployment under the new name.

    A deployment that a process still serves is left alone: an earlier version or another installation uses it.
    """
    async with pool.connection() as conn:
        records = await scheduled_runs.records(conn)
    deployed = {name for name, record in records.items() if record.deployment_id}
    former = {_FORMER[name] for name in deployed & _FORMER.keys()}
    our_entrypoints = {f"flows.{name}.{name}" for name in deployed | former}
    async with get_client() as prefect:
        deployments = await prefect.read_deployments(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=_NAMES))
        )
        for old in deployments:
            if old.entrypoint in our_entrypoints and not _is_served(old):
                await _remove(prefect, old)


def _is_served(deployment: DeploymentResponse) -> bool:
    """Whether a process serves this deployment. A work pool's worker takes runs of every deployment in the pool."""
    return deployment.work_pool_name is None and deployment.status == DeploymentStatus.READY


async def _remove(prefect: PrefectClient, old: DeploymentResponse) -> None:
    """Pause it and delete it once its last runs are over; before that, only the deployment shows whose they are."""
    await prefect.pause_deployment(old.id)
    runs = await prefect.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[old.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=unfinished_runs.TAKEN_STATES)),
        )
    )
    bound = datetime.now(UTC) - timedelta(seconds=settings().run_silence_seconds)
    if any(run.state and run.state.timestamp > bound for run in runs):
        return
    for run in runs:
        await unfinished_runs.end(prefect, run)
    await prefect.delete_deployment(old.id)
