"""Everything that we use of Prefect below its documented surface, so that an upgrade of Prefect changes one file.

tests/deployments/test_prefect_adapter.py has a test for each of these, so that a failing one names what has moved.
Prefect is imported inside the functions: doors that launch nothing, and most commands, do without it.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from core.failures import Misconfigured
from core.settings import PrefectSettings, Settings, settings

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State
    from sqlalchemy import Dialect

P = ParamSpec("P")
R = TypeVar("R")

# How long a stopping process waits for Prefect to hear how its runs ended.
_DRAIN_SECONDS = 5.0


async def run(task: "Task[P, Coroutine[Any, Any, R]]", *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a task as `run_task` does, and return its result.

    Raises:
        Exception: what the task raised last.
    """
    from prefect.utilities.callables import get_call_parameters

    state = await run_task(task, get_call_parameters(task.fn, args, kwargs))
    return cast(R, await state.aresult())


async def run_task(
    task: "Task[..., Any]", parameters: dict[str, Any], *, after: "Sequence[State[None]]" = ()
) -> "State[None]":
    """Run a task in the current flow run without reporting a Pending state, and return its final state.

    Calling the task would report Pending first, which is a third of what a short task run costs the server.

    Args:
        task: what to run.
        parameters: its arguments.
        after: the final states of task runs that it followed, however they ended: the graph of the run shows an arrow
            from each. Passing them as `wait_for` would refuse to run after a failed one, and search all their data.
    """
    from prefect.client.schemas.objects import TaskRunResult
    from prefect.task_engine import run_task_async

    task_run = await task.create_local_run(parameters=parameters)
    if earlier := [state.state_details.task_run_id for state in after if state.state_details.task_run_id]:
        task_run.task_inputs["wait_for"] = [TaskRunResult(id=task_run_id) for task_run_id in earlier]
    state = await run_task_async(task, task_run=task_run, parameters=parameters, return_type="state")
    return cast("State[None]", state)


def tell_artifact(key: str) -> None:
    """Write into the log of the current flow run where its artifact is; Prefect's side bar has no entry for them."""
    tell_run(f"artifact: {artifact_url(settings(), key)}")


def tell_run(sentence: str) -> None:
    """Write one line into the log of the current flow run, which Prefect's pages show; counts, codes and names only.

    The lines that Prefect writes itself stay off (`client_environment`), and this one does not go to the console.
    """
    ours = logging.getLogger("instant.run")
    ours.handlers, ours.propagate = logging.getLogger("prefect.flow_runs").handlers, False
    ours.setLevel(logging.INFO)
    ours.info("%s", sentence)


@asynccontextmanager
async def clients() -> AsyncIterator[None]:
    """Share Prefect's clients between all runs in the block, and send what the runs reported before the block ends.

    Without shared clients each run would build its own and block the event loop meanwhile. Prefect sends logs, and the
    events that say how tasks ended, from queues that it empties when the interpreter exits; a process that ends by a
    signal, as uvicorn's do, never gets there.
    """
    from prefect.context import AsyncClientContext, SyncClientContext
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # Prefect's server lists every run. A line with the URL of each would bury what the process has to say.
    logging.getLogger("prefect.engine").setLevel(logging.WARNING)
    # We detect dead processes ourselves (core/process/worker.py). Prefect would use a thread and an event for each run.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        async with AsyncClientContext.get_or_create():
            with SyncClientContext.get_or_create():
                yield
    for sender in (APILogWorker, EventsWorker):
        # Prefect's type is for both kinds of caller. On a running event loop the result is awaitable.
        await cast(Awaitable[object], sender.drain_all(timeout=_DRAIN_SECONDS))


def server() -> tuple[Any, dict[str, Any]]:
    """Prefect's server as `prefect server start` runs it with one worker: the application and uvicorn's options."""
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    hand_plain_times_to_the_database()
    settings = get_current_settings().server
    return create_app(final=True), {
        "host": settings.api.host,
        "port": settings.api.port,
        "timeout_keep_alive": settings.api.keepalive_timeout,
        "ws_ping_interval": settings.api.websocket_ping_interval,
        "ws_ping_timeout": settings.api.websocket_ping_timeout,
        "log_level": settings.logging_level.lower(),
    }


def hand_plain_times_to_the_database() -> None:
    """Convert pendulum's times before asyncpg subtracts its epoch from each, of which pendulum makes an Interval.

    That took a tenth of the server's CPU time. Prefect has plain times from Python 3.13 on.
    """
    from prefect.server.utilities.database import Timestamp

    convert = Timestamp.process_bind_param

    def plain(kind: Timestamp, value: datetime | None, dialect: "Dialect") -> datetime | None:
        time = convert(kind, value, dialect)
        if time is None or type(time) is datetime:
            return time
        clock = time.hour, time.minute, time.second, time.microsecond
        return datetime(time.year, time.month, time.day, *clock, time.tzinfo, fold=time.fold)

    Timestamp.process_bind_param = plain  # type: ignore[assignment, method-assign]


def client_environment(config: Settings) -> dict[str, str]:
    """The environment of a flow, a worker or a deploy. It must be in place before Prefect is imported."""
    home = config.state_dir.resolve() / "prefect"
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": config.prefect_api_url,
        **_auth(config, "PREFECT_API_AUTH_STRING"),
        "PREFECT_UI_URL": config.prefect_ui_url,
        # A lost server must be an error, not a second, temporary server on SQLite.
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home / "results"),
        # Opening a client must not need the server: a door starts, sells and queues while it is away.
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # That a run began and ended is its state, which the UI shows; as log lines it costs a sixth of a busy launcher.
        "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
        "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "WARNING",
        # Of processes that Prefect starts; our own set up their log themselves.
        **({"PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json"} if config.log_format == "json" else {}),
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLI_PROMPT": "false",
        # Its server is near, and would pack every answer for longer than it takes to send it.
        "PREFECT_CLIENT_CUSTOM_HEADERS": '{"Accept-Encoding": "identity"}',
        **_nothing_leaves_the_machine(),
    }


def server_environment(config: PrefectSettings) -> dict[str, str]:
    """The environment of Prefect's server, on loopback and behind the auth string.

    The batch sizes halve the server's CPU per run on two cores. The retention keeps its database from growing for ever,
    which it does by default.

    Raises:
        Misconfigured: if Prefect's database is not set.
    """
    if config.prefect_database_url is None:
        raise Misconfigured("INSTANT_PREFECT_DATABASE_URL is not set; `instant env` prints the embedded one's")
    url = urlsplit(config.prefect_database_url.get_secret_value())
    # ISO 8601. What happened to money is kept by us, not by Prefect.
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
        # Not below 1: it is truncated to 0, and then the server spins.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "300",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
        # Nothing here uses automations, and evaluating their triggers costs a fifth of the latency (docs/operators.md).
        "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": retention,
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": retention,
        **_nothing_leaves_the_machine(),
    }


def artifact_url(config: Settings, key: str) -> str:
    """Where a person looks at the newest artifact of this key, and at those before it."""
    return f"{config.prefect_ui_url}/artifacts/key/{key}"


def _auth(config: PrefectSettings, name: str) -> dict[str, str]:
    return {name: config.prefect_auth_string.get_secret_value()} if config.prefect_auth_string else {}


def _nothing_leaves_the_machine() -> dict[str, str]:
    return {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "DO_NOT_TRACK": "1",
    }
