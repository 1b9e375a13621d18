"""Make the environment of Prefect's server and of its clients, and ask the server about its settings.

Batch sizes reduce the server's CPU per run, and retention keeps its database from growing for ever, which is Prefect's
default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from core.failures import Misconfigured
from core.settings import Settings
from deployments.schedules import Schedule

Deployed = Literal["active", "paused", "missing"]

_ASK_SECONDS = 5.0
_DURATION = TypeAdapter(timedelta)


@dataclass(frozen=True, slots=True)
class Vacuum:
    """The retention of Prefect's server: `kinds` (events, flow_runs, orphans) that it deletes, and after how long."""

    kinds: frozenset[str]
    runs: timedelta
    events: timedelta

    @property
    def is_complete(self) -> bool:
        """Whether events and flow runs are both deleted."""
        return self.kinds >= {"events", "flow_runs"}


def client_environment(config: Settings) -> dict[str, str]:
    """Build the environment of a flow, a worker or a deploy. Set it before prefect is imported."""
    home = config.state_dir.resolve() / "prefect"
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": config.prefect_api_url,
        **_auth(config, "PREFECT_API_AUTH_STRING"),
        "PREFECT_UI_URL": ui_url(config),
        # A lost server must be an error, not a second, temporary server on SQLite.
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home / "results"),
        # Opening a client must not need the server: a door starts, sells and queues while the server is down.
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # A run's state, which the UI shows, already says that it began and ended; log lines about it cost CPU.
        "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
        "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "WARNING",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLI_PROMPT": "false",
        # The server is near, and compressing an answer takes longer than sending it.
        "PREFECT_CLIENT_CUSTOM_HEADERS": '{"Accept-Encoding": "identity"}',
        **_nothing_leaves_the_machine(),
    }


def server_environment(config: Settings) -> dict[str, str]:
    """Build the environment of the Prefect server, on loopback and behind the auth string.

    Raises:
        Misconfigured: Prefect's database is not set.
    """
    if config.prefect_database_url is None:
        raise Misconfigured("INSTANT_PREFECT_DATABASE_URL is not set; `instant env` prints the embedded one's")
    url = urlsplit(config.prefect_database_url.get_secret_value())
    # ISO 8601. We keep the records of money, not Prefect.
    retention = f"P{config.prefect_retention_days}D"
    return {
        "PREFECT_HOME": str(config.state_dir.resolve() / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": url._replace(scheme="postgresql+asyncpg").geturl(),
        **_auth(config, "PREFECT_SERVER_API_AUTH_STRING"),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(config.prefect_port),
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{config.prefect_port}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
        # Not below 1: Prefect truncates it to 0, and then the server loops without a pause.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "300",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
        # Automations are off: we use none, and evaluating their triggers slows every run.
        "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": retention,
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": retention,
        **_nothing_leaves_the_machine(),
    }


async def vacuum(config: Settings) -> Vacuum | None:
    """Ask Prefect's server, also one that we did not start, for its retention; None if it does not answer.

    Its answer (`GET /admin/settings`) is its whole configuration with the secrets masked; only this part is read.
    """
    try:
        server = (await _ask(config, "GET", "/admin/settings"))["server"]
        settings = server["services"]["db_vacuum"]
        return Vacuum(
            frozenset(_kinds(settings["enabled"])),
            _DURATION.validate_python(settings["retention_period"]),
            _DURATION.validate_python(server["events"]["retention_period"]),
        )
    except (httpx.HTTPError, ValueError, KeyError, TypeError, ValidationError):
        return None


async def deployed(config: Settings, schedules: Sequence[Schedule]) -> dict[str, Deployed] | None:
    """Ask Prefect's server for the deployments of these schedules; None if it does not answer.

    Returns:
        By the schedule's name: active, paused (the deployment or its schedules), or missing.
    """
    names = {"any_": [one.name for one in schedules]}
    try:
        found = await _ask(config, "POST", "/deployments/filter", {"deployments": {"name": names}})
        active = {
            one["entrypoint"]: not one["paused"] and any(each["active"] for each in one["schedules"]) for one in found
        }
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    words: dict[bool | None, Deployed] = {True: "active", False: "paused", None: "missing"}
    return {one.name: words[active.get(one.entrypoint)] for one in schedules}


def ui_url(config: Settings) -> str:
    """Return the URL of Prefect's UI."""
    return config.prefect_api_url.removesuffix("/api")


def how_to_log_in(config: Settings) -> str:
    """Say how to log in to the UI, without the secret: terminal output is copied into tickets."""
    if config.prefect_auth_string is None:
        return "no login"
    return f"log in with what INSTANT_PREFECT_AUTH_STRING says in {config.state_dir / 'instant.env'}"


async def _ask(config: Settings, method: str, path: str, body: object = None) -> Any:
    auth = config.prefect_auth_string.get_secret_value() if config.prefect_auth_string else ""
    user, _, password = auth.partition(":")
    async with httpx.AsyncClient(timeout=_ASK_SECONDS, trust_env=False) as http:
        answer = await http.request(method, f"{config.prefect_api_url}{path}", json=body, auth=(user, password))
        return answer.json()


def _kinds(enabled: object) -> list[str]:
    """Read the kinds that are deleted; older versions of Prefect say true or false."""
    if isinstance(enabled, bool):
        return ["events", "flow_runs"] if enabled else ["events"]
    return [str(kind) for kind in enabled] if isinstance(enabled, list) else []


def _auth(config: Settings, name: str) -> dict[str, str]:
    return {name: config.prefect_auth_string.get_secret_value()} if config.prefect_auth_string else {}


def _nothing_leaves_the_machine() -> dict[str, str]:
    return {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "DO_NOT_TRACK": "1",
    }
