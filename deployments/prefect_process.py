"""Start Prefect's server as `prefect server start` does, with gc.freeze and without WebSocket compression.

`deployments/prefect_server.py` makes its environment. Any other Prefect server of the version works as well.
"""

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings

from core.process import gc_tuning


def main() -> None:
    """Serve API, UI and services in this process until SIGTERM, as one worker of `prefect server start` does."""
    app = create_app(final=True)
    gc_tuning.freeze_loaded_objects()
    server = get_current_settings().server
    uvicorn.run(
        app,
        host=server.api.host,
        port=server.api.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
        # Senders of events are on this machine, where compression takes longer than sending.
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    main()
