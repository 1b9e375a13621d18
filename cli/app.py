"""The commands that start, prepare and stop things; those about creators are mounted from their own module.

Modules are imported by the command that needs them: `instant dev` must not wait for Prefect, and Prefect reads its
environment as it is imported, so that has to be made first.
"""

import asyncio
import inspect
import os
import shlex
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

from cli.buy import buy
from cli.catalog import catalog
from cli.creators import creators, keys
from cli.executions import executions, try_resource
from cli.money import books, payments
from cli.notices import notices
from cli.refunds import refunds
from cli.report import report
from cli.resources import resources
from cli.shared import Flag, meet_prefect
from cli.usage import usage
from core.db.pool import UNREACHABLE, database_url
from core.failures import Failure, InvalidInput, Misconfigured
from core.settings import Settings, load

app = App(name="instant", help="Sell a prompt by the call.", version_flags=[], result_action="return_value")
for part in (books, catalog, creators, executions, keys, notices, payments, refunds, resources, usage):
    app.command(part)
resources.command(try_resource, name="test")
usage.command(report)
app.command(buy)


@app.command
def dev(*, demo: Flag = False, once: Flag = False) -> None:
    """Start everything on this machine for practice, until Ctrl-C.

    Args:
        demo: set up a creator with three prompts and buy one of them.
        once: stop after that (also: ONCE=1).
    """
    from deployments.dev import dev as start

    start(_state_dir(), demo=demo, once=once or os.environ.get("ONCE") == "1")


@app.command
def api() -> None:
    """Serve the front door."""
    from deployments.ports import is_free, taken

    config = _ready_to_run()
    if not is_free(config.host, config.port):
        raise Misconfigured(taken("INSTANT_PORT", config.host, config.port))
    from deployments.door import serve

    serve(config)


@app.command
def executor() -> None:
    """Run what is queued, beside doors with INSTANT_LAUNCH=executor; as many of them as you like."""
    _ready_to_run()
    from deployments.executor import execute

    print("Executing what is queued; Ctrl-C stops, after what was begun.", flush=True)
    execute()


@app.command
def migrate() -> None:
    """Bring the database's schema up to date."""
    from core.db.migrate import migrate as apply

    config = load()
    applied = apply(database_url(config), config.mode)
    print("\n".join(f"applied {name}" for name in applied) or "up to date")


@app.command
def env() -> None:
    """Print `export NAME=VALUE` lines, for a shell that runs `prefect deploy --all` or a stock worker.

    They hold secrets: the password of Prefect's API, and of databases that have one. Use: eval "$(instant env)"
    """
    from deployments import postgres
    from tasks.prefect_adapter import client_environment

    config = load()
    lines = {"INSTANT_STATE_DIR": str(config.state_dir.resolve())}
    if not (config.database_url and config.prefect_database_url):
        urls = postgres.find(config.state_dir)
        if urls is None:
            raise Misconfigured(
                "no database: set INSTANT_DATABASE_URL and INSTANT_PREFECT_DATABASE_URL, or start `instant dev`"
            )
        lines |= urls.environment()
    for name in ("database_url", "prefect_database_url"):
        if url := getattr(config, name):
            lines[f"INSTANT_{name.upper()}"] = url.get_secret_value()
    for name, value in (lines | client_environment(config)).items():
        print(f"export {name}={shlex.quote(value)}")


# These start, or find, the databases themselves, or need none.
_ON_THEIR_OWN: tuple[Callable[..., Any], ...] = (buy, dev, env)


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        What the command says, or 0; 1 if it failed; 2 if the command line or the surroundings must change first; 130
        after Ctrl-C.
    """
    try:
        command, bound, _ignored = app.parse_args(arguments, exit_on_error=False, print_error=True)
        with ExitStack() as databases:
            if command not in _ON_THEIR_OWN and not _is_help(command):
                from deployments import postgres

                databases.enter_context(postgres.provided(load()))
            result = command(*bound.args, **bound.kwargs)
            if inspect.isawaitable(result):
                result = asyncio.run(_finish(result))
    except CycloptsError:
        return 2
    except Misconfigured as failure:
        return _say(str(failure), 2)
    except InvalidInput as failure:
        return _say("\n".join(f"{name}: {sentence}" for name, sentence in failure.fields.items()), 1)
    except Failure as failure:
        return _say(str(failure), 1)
    except UNREACHABLE:
        return _say("the database cannot be reached; look at INSTANT_DATABASE_URL", 1)
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


def _ready_to_run() -> Settings:
    """Check what a process that sells or executes leans on, and tell Prefect where its server is.

    Raises:
        Misconfigured: if something must be changed before this can start.
    """
    from core.db.migrate import check
    from core.media import store as media

    config = load()
    check(database_url(config), config.mode)
    media.check_store()
    asyncio.run(_check_chains())
    meet_prefect(config)
    return config


async def _check_chains() -> None:
    """Nothing may be sold on a network whose node is on another chain: it would decide what is paid."""
    from core.evm import node
    from core.payments import settlement

    async with settlement.payment_clients() as clients:
        await node.check_nodes(clients.http, clients.networks.values())


async def _finish(result: Awaitable[object]) -> object:
    return await result


def _is_help(command: Callable[..., Any]) -> bool:
    """Whether cyclopts answers by itself: --help, or no command at all."""
    return getattr(command, "__module__", "").startswith("cyclopts") or hasattr(command, "__self__")


def _state_dir() -> Path:
    return Path(os.environ.get("INSTANT_STATE_DIR") or ".instant")


def _say(sentence: str, code: int) -> int:
    print(f"instant: {sentence}", file=sys.stderr)
    return code
