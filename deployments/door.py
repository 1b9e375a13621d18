"""`instant api`: the front door in a process of its own, any number of them beside each other."""

import logging
import os
import sys
from types import FrameType
from typing import Any

import uvicorn

from core.settings import Settings

log = logging.getLogger(__name__)

_DID_NOT_START = 3  # as uvicorn's own command

OPTIONS: dict[str, Any] = {
    "loop": "uvloop",
    # A payment header may be larger than httptools' fixed limits allow.
    "http": "h11",
    "h11_max_incomplete_event_size": 65_536,
    # Status tokens are in URLs.
    "access_log": False,
    "proxy_headers": False,
    "server_header": False,
    "log_level": "warning",
}
"""How uvicorn serves a door, whoever starts it."""


class _Server(uvicorn.Server):
    """uvicorn, but a first signal is an end in good order, with exit code 0, and a second one ends it at once."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            # Whatever is unfinished is found by its silent owner, as after a SIGKILL.
            os._exit(128 + sig)
        log.warning("door: stopping after what was begun; a second signal ends it at once")
        self.should_exit = True


def serve(config: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish settlements and calls."""
    server = _Server(
        uvicorn.Config(
            "api.app:create_app",
            factory=True,
            host=config.host,
            port=config.port,
            **OPTIONS,
            # Requests that wait for an answer get this long; then the lifespan ends settlements and calls.
            timeout_graceful_shutdown=5,
        )
    )
    server.run()
    if not server.started:
        sys.exit(_DID_NOT_START)
