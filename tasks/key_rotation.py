"""Tasks of the flow `key_rotation`."""

import time

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact

from core import db
from core.accounts import key_rotation
from core.accounts.key_rotation import Progress, Rotated
from tasks import prefect_adapter
from tasks.policy import step

_PAUSE_SECONDS = 2


@step()
async def rotate() -> Rotated:
    """Seal everything anew under the newest master key, and show the progress."""
    artifact_id = await acreate_progress_artifact(
        0.0, key="key-rotation", description="Values sealed anew under the newest master key"
    )
    prefect_adapter.tell_artifact("key-rotation")
    reported_at = 0.0

    async def report_progress(progress: Progress) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at > _PAUSE_SECONDS:
            reported_at = time.monotonic()
            await aupdate_progress_artifact(artifact_id, progress.percent)

    async with db.pool() as pool:
        rotated = await key_rotation.rotate(pool, report_progress)
    await aupdate_progress_artifact(artifact_id, 100.0)
    return rotated
