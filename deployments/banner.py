"""Say at the start what this process is and depends on, without secrets: the first lines of its log."""

import logging
from importlib import metadata

from core.db import reach
from core.settings import Settings, urls

log = logging.getLogger(__name__)


def say(config: Settings, what: str) -> None:
    """Log what starts.

    Args:
        config: the settings.
        what: the kind of process, and where it is.
    """
    for line in lines(config, what):
        log.info("%s", line)


def lines(config: Settings, what: str) -> list[str]:
    """Return the lines. Of URLs that may hold keys only the host is shown."""
    networks = ", ".join(
        f"{network.id} (facilitator {urls.host_of(network.facilitator_url)}, node {urls.host_of(network.rpc_url)})"
        for network in config.networks
    )
    database = reach.shown(config.database_url.get_secret_value()) if config.database_url else "the embedded one"
    prefect = urls.without_credentials(config.prefect_api_url)
    return [
        f"x402-instant {metadata.version('x402-instant')}: {what}; mode {config.mode}, launch {config.launch}",
        f"networks {networks}; database {database}; Prefect {prefect}",
    ]
