"""Start Prefect's server as `prefect server start` does, with gc.freeze and without WebSocket compression.

`tasks/prefect_adapter.py` makes its environment. Any other Prefect server of the version works as well.
"""

import uvicorn

from core.process import gc_tuning
from tasks import prefect_adapter


def main() -> None:
    """Serve API, UI and services in this process until SIGTERM, as one worker of `prefect server start` does."""
    app, options = prefect_adapter.server()
    gc_tuning.freeze_loaded_objects()
    # Senders of events are on this machine, where compression takes longer than sending.
    uvicorn.run(app, **options, ws_per_message_deflate=False)


if __name__ == "__main__":
    main()
