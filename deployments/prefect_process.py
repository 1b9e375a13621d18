"""Start Prefect's server as `prefect server start` does, with gc.freeze and without WebSocket compression.

Its environment comes from `tasks/prefect_adapter.py`. Any other Prefect server does as well.
"""

import uvicorn

from core.process import gc_tuning
from tasks import prefect_adapter


def main() -> None:
    """Serve API, UI and services in this process until SIGTERM, as one worker of `prefect server start` does."""
    app, options = prefect_adapter.server()
    gc_tuning.freeze_loaded_objects()
    # Who sends events is on this machine: to deflate one takes longer than to send it.
    uvicorn.run(app, **options, ws_per_message_deflate=False)


if __name__ == "__main__":
    main()
