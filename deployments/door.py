"""Run `instant api`: the front door in a process of its own. Any number of doors may run."""

import logging
import os
import sys
from types import FrameType
from typing import Any

import uvicorn

from core.process import shutdown
from core.settings import Settings, urls
from deployments import banner
from deployments.http_protocol import BoundedProtocol

log = logging.getLogger(__name__)

_DID_NOT_START = 3  # the exit code of uvicorn's own command

OPTIONS: dict[str, Any] = {
    "loop": "uvloop",
    # On h11, because a payment header may exceed httptools' fixed limits.
    "http": BoundedProtocol,
    "ws": "none",
    "h11_max_incomplete_event_size": 65_536,
    # URLs hold status tokens.
    "access_log": False,
    "server_header": False,
    "log_level": "warning",
    # Ours has its lines too (`core/observability/logs.py`).
    "log_config": None,
}
"""The options of uvicorn for every door."""


class _Server(uvicorn.Server):
    """uvicorn, except that the first signal ends it in good order with exit code 0, and a second one at once."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            # Recovery takes over unfinished work when the heartbeat stops, as after a SIGKILL.
            os._exit(128 + sig)
        shutdown.begin()
        log.warning("door: stopping after what was begun; a second signal ends it at once")
        self.should_exit = True


def serve(config: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish settlements and calls."""
    banner.say(config, f"door at http://{urls.bracketed(config.host)}:{config.port}, for buyers {config.public_url}")
    server = _Server(
        uvicorn.Config(
            "api.app:create_app",
            factory=True,
            host=config.host,
            port=config.port,
            **OPTIONS,
            # The right-most address of X-Forwarded-For that is no proxy of ours is the client; anybody writes the rest.
            proxy_headers=bool(config.trusted_proxies),
            forwarded_allow_ips=[str(network) for network in config.trusted_proxies],
            timeout_keep_alive=config.keep_alive_seconds,
            # Waiting requests get this long; then the lifespan ends settlements and calls.
            timeout_graceful_shutdown=5,
        )
    )
    server.run()
    if not server.started:
        sys.exit(_DID_NOT_START)
