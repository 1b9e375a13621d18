"""Run everything on one machine for practice: databases, Prefect, practice servers, scheduled flows, the door.

This process imports neither Prefect nor our flows: it starts, watches and ends the processes that do.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from core.db.migrate import migrate
from core.db.pool import owner_database_url
from core.failures import Misconfigured
from core.settings import Settings, load
from deployments import postgres, state
from deployments.databases import OWNER
from deployments.ports import check_free
from deployments.prefect_server import how_to_log_in
from deployments.processes import Child, Children
from tasks.prefect_adapter import client_environment, server_environment

# Processes that a killed run left end by themselves, but not at once.
_PATIENCE_SECONDS = 20

# Children run here, so that `-m` and Prefect's entrypoints find our packages wherever `instant dev` was called.
_ROOT = Path(__file__).parent.parent

_out = Console(highlight=False, soft_wrap=True)


def dev(state_dir: Path, *, demo: bool = False, once: bool = False) -> None:
    """Start everything and stay until Ctrl-C or SIGTERM.

    Args:
        state_dir: folder of databases, keys and logs; created if missing.
        demo: set up a creator with three prompts and buy one of them.
        once: end after the demo.

    Raises:
        Misconfigured: something must be changed before this can start.
        Died: a process that should run does not.
    """
    if os.environ.get("INSTANT_MODE", "sandbox") != "sandbox":
        raise Misconfigured("`instant dev` is for practice: unset INSTANT_MODE, or start `instant api` on its own")
    os.environ["INSTANT_STATE_DIR"] = str(state_dir.resolve())
    with state.owned(state_dir) as was_killed:
        state.ensure_environment(state_dir)
        config = load()
        check_free(
            {
                "INSTANT_PORT": (config.host, config.port),
                "INSTANT_OPENROUTER_PORT": ("127.0.0.1", config.openrouter_port),
                "INSTANT_FACILITATOR_PORT": ("127.0.0.1", config.facilitator_port),
                "INSTANT_PREFECT_PORT": ("127.0.0.1", config.prefect_port),
            },
            wait_seconds=_PATIENCE_SECONDS if was_killed else 0,
        )
        with postgres.provided(config, with_prefect=True):
            asyncio.run(_dev(load(), demo=demo, once=once))


async def _dev(config: Settings, *, demo: bool, once: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Children(config.state_dir / "logs", _ROOT) as children:
        work = asyncio.create_task(_start_processes(config, children, demo=demo))
        stopping = asyncio.create_task(stopped.wait())
        end_events: set[asyncio.Future[Any]] = {stopping, children.died}
        await asyncio.wait({work, *end_events}, return_when=asyncio.FIRST_COMPLETED)
        if work.done() and not work.exception() and not once:
            _out.print("[dim]Ctrl-C stops everything.[/dim]")
            await asyncio.wait(end_events, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        work.cancel()
        await asyncio.wait({work})
        _out.print("[dim]Stopping …[/dim]")
    if children.died.done() and not children.died.cancelled():
        children.died.result()
    if not work.cancelled():
        work.result()


async def _start_processes(config: Settings, children: Children, *, demo: bool) -> None:
    """Start the processes that others depend on first, and everything else at once."""
    # Only this process migrates; its children get no URL of the tables' owner.
    environment = {name: value for name, value in os.environ.items() if name != OWNER}
    environment["PYTHONUNBUFFERED"] = "1"
    client = environment | client_environment(config)
    book = config.state_dir / "facilitator.book"
    _out.print(f"State and logs in {config.state_dir}")
    prefect = await children.start(
        "prefect",
        *_python("deployments.prefect_process"),
        environment=environment | server_environment(config),
        is_foundation=True,
    )
    openrouter = await children.start(
        "practice-openrouter",
        *_python("sandbox.openrouter", "--port", config.openrouter_port),
        environment=environment,
        is_foundation=True,
    )
    facilitator = await children.start(
        "practice-facilitator",
        *_python("sandbox.facilitator", "--port", config.facilitator_port, "--book", book),
        environment=environment,
        is_foundation=True,
    )
    await asyncio.to_thread(migrate, owner_database_url(config), config.mode)
    await asyncio.gather(
        _ready(children, openrouter, config.openrouter_url),
        _ready(children, facilitator, config.networks[0].facilitator_url),
        _ready(children, prefect, f"{config.prefect_api_url}/health"),
    )
    # The launcher inside the door asks for Prefect as it starts.
    door = await children.start("api", *_python("cli", "api"), environment=client)
    # Before the schedules start, because a scheduled sync would make this one wait.
    await children.run("catalog-sync", *_python("cli", "catalog", "sync", "--if-empty"), environment=client)
    await children.start("serve", *_python("deployments.serve"), environment=client)
    await _ready(children, door, f"http://{config.host}:{config.port}/health/ready")
    if demo:
        await children.run("demo", *_python("deployments.demo"), environment=client, shown=True)
    else:
        _out.print(f"The door       {config.public_url}, described at {config.public_url}/docs")
        _out.print(f"Flow runs      {config.prefect_ui_url}, {how_to_log_in(config)}")


async def _ready(children: Children, child: Child, url: str) -> None:
    await children.ready(child, url)
    _out.print(f"[green]✓[/green] {child.name}")


def _python(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]
