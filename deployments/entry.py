"""What the image runs: `python -m deployments.entry door`, and so on. The units of systemd use the same words.

Each word becomes one process of ours or of Prefect, with the environment that Prefect must find when it is imported.
A variable `PREFECT_...` that is already set stays as it is.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from core.failures import Misconfigured
from core.settings import load, load_prefect
from deployments.state import make_private

POOL = "instant"
"""The work pool of prefect.yaml."""

_OURS = {"door": ("api",), "executor": ("executor",)}


def run(arguments: Sequence[str]) -> int:
    """Become the process that the first word names; any other words are a command of `instant`.

    Returns:
        The exit code of what ran to its end.

    Raises:
        Misconfigured: a setting must be changed before this can start.
    """
    word = arguments[0] if arguments else "door"
    if word in _PREFECT:
        return _PREFECT[word]()
    return _become(_python("cli", *_OURS.get(word, tuple(arguments))), dict(os.environ))


def _migrate() -> int:
    """Migrate our database, and Prefect's if its URL is here."""
    code = subprocess.run(_python("cli", "migrate"), check=False).returncode  # noqa: S603 - our own words
    if code or load_prefect().prefect_database_url is None:
        return code
    return _become(_python("prefect", "--no-prompt", "server", "database", "upgrade", "-y"), _server())


def _deploy() -> int:
    """Give Prefect the work pool, the deployments with their schedules, and the automations, as often as you like."""
    environment = _client()
    os.environ.update(environment)  # before Prefect is imported
    asyncio.run(_make_pool())
    for command in (_python("prefect", "--no-prompt", "deploy", "--all"), _python("deployments.automations")):
        if code := subprocess.run(command, env=environment, check=False).returncode:  # noqa: S603 - likewise
            return code
    return 0


async def _make_pool() -> None:
    """Make the work pool if it is missing. `prefect work-pool create --overwrite` would resume one that is paused."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    async with get_client() as prefect:
        try:
            await prefect.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        except ObjectAlreadyExists:
            return


def _worker() -> int:
    """A stock worker. Every process of ours has the code, so it runs flows as processes of its own."""
    return _become(
        _python("prefect", "worker", "start", "--pool", POOL, "--type", "process", "--with-healthcheck"), _client()
    )


def _prefect_api() -> int:
    """One of several API servers; the services are apart, and messages go through Redis."""
    return _become(_python("prefect", "server", "start", "--no-services"), _one_of_several())


def _prefect_services() -> int:
    """The services of Prefect's server: scheduler, late runs, events, triggers, vacuum."""
    return _become(_python("prefect", "server", "services", "start"), _one_of_several())


def _prefect_server() -> int:
    """API and services in one process, which needs no Redis."""
    return _become(_python("deployments.prefect_process"), _server())


_PREFECT: dict[str, Callable[[], int]] = {
    "migrate": _migrate,
    "deploy": _deploy,
    "worker": _worker,
    "prefect": _prefect_server,
    "prefect-api": _prefect_api,
    "prefect-services": _prefect_services,
}

WORDS = (*_OURS, *_PREFECT)
"""What the image can be, for those who write what runs it."""


def _client() -> dict[str, str]:
    from tasks.prefect_adapter import client_environment

    config = load()
    make_private(config.state_dir)  # Prefect makes its own folder in it, but none above
    # A shell sets PWD, and prefect.yaml names the folder of the code by it.
    return client_environment(config) | os.environ | {"PWD": os.getcwd()}


def _server() -> dict[str, str]:
    from tasks.prefect_adapter import server_environment

    config = load_prefect()
    environment = server_environment(config)
    make_private(config.state_dir)
    # It writes its pages anew, by default into its own package, which is read-only.
    pages = str(config.state_dir.resolve() / "prefect" / "ui")
    return {"PREFECT_SERVER_UI_STATIC_DIRECTORY": pages} | environment | os.environ


def _one_of_several() -> dict[str, str]:
    """The environment of a server that shares its work with others over Redis.

    Raises:
        Misconfigured: no Redis is named. Each process would then keep its messages to itself, and no run would end.
    """
    url = os.environ.get("PREFECT_REDIS_MESSAGING_URL")
    if not url:
        raise Misconfigured("PREFECT_REDIS_MESSAGING_URL is required: redis://HOST:PORT/DATABASE")
    return {
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
        "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": url,
        "PREFECT_SERVER_DOCKET_URL": url,
        # `migrate` does it once, before the servers.
        "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    } | _server()


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _become(command: Sequence[str], environment: dict[str, str]) -> int:
    """Replace this process, so that signals reach the one that serves. It never returns."""
    sys.stdout.flush()
    os.execve(command[0], list(command), environment)  # noqa: S606 - our own words, and no shell
    raise AssertionError("unreachable")


def main() -> int:
    """Run what the command line names.

    Returns:
        The exit code: 2 if the environment must be changed first.
    """
    os.umask(0o077)
    try:
        return run(sys.argv[1:])
    except Misconfigured as failure:
        sentence = str(failure)
    sys.stderr.write(f"instant: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
