"""Define the `instant` command: start, prepare and stop processes. Other commands are mounted from their own modules.

A command imports the modules that it needs when it runs, so that no command waits for what only others need. Prefect
reads its environment when it is imported, so the environment has to be set first.
"""

import asyncio
import inspect
import os
import shlex
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

from cli import output
from cli.buy import buy
from cli.shared import Flag, meet_prefect
from cli.verify import verify
from core.db.pool import UNREACHABLE, owner_database_url
from core.failures import Failure, InvalidInput, Misconfigured
from core.settings import Settings, load

app = App(
    name="instant",
    help="Sell a prompt by the call.",
    version=lambda: metadata.version("x402-instant"),
    version_flags=["--version"],
    result_action="return_value",
)
app.command(buy)
app.command(verify)

# cyclopts imports the module of a group of commands only when one of them is called, so the help stands here.
_GROUPS = {
    "catalog": ("cli.catalog:catalog", "The models that prompts can be sold on."),
    "creators": ("cli.creators:creators", "The creators, their payout addresses and limits."),
    "executions": ("cli.executions:executions", "The executions and their outcomes."),
    "keys": ("cli.keys:keys", "The provider keys that pay for calls, never shown again; and the master keys."),
    "money": ("cli.money:books", "Compare the books."),
    "notices": ("cli.notices:notices", "The notices to creators and the operator, and their addresses."),
    "payments": ("cli.money:payments", "The payments and their outcomes."),
    "refunds": ("cli.refunds:refunds", "The refunds for calls that were paid, not answered, and have no re-run left."),
    "resources": ("cli.resources:resources", "The prompts for sale."),
    "usage": ("cli.usage:usage", "Calls with their revenue and cost."),
}
for name, (path, sentence) in _GROUPS.items():
    app.command(path, name=name, help=sentence)


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

    config = _ready_to_run(is_selling=True)
    if not is_free(config.host, config.port):
        raise Misconfigured(taken("INSTANT_PORT", config.host, config.port))
    from deployments.door import serve

    serve(config)


@app.command
def executor() -> None:
    """Run queued executions, for doors with INSTANT_LAUNCH=executor. Start as many as you like, on any host."""
    _ready_to_run(is_selling=False)
    from deployments.executor import execute

    output.line("Running queued executions; Ctrl-C finishes the running ones and stops.")
    execute()


@app.command
def migrate() -> None:
    """Apply missing migrations to the database."""
    from core.db.migrate import migrate as apply

    config = load()
    applied = apply(owner_database_url(config), config.mode)
    output.line("\n".join(f"applied {name}" for name in applied) or "up to date")


@app.command
def env() -> None:
    """Print `export NAME=VALUE` lines, for a shell that runs `prefect deploy --all` or a stock worker.

    They hold secrets: the password of Prefect's API, and of databases that have one. Use: eval "$(instant env)"
    """
    from deployments import postgres
    from deployments.databases import OWNER
    from tasks.prefect_adapter import client_environment

    config = load()
    lines = {"INSTANT_STATE_DIR": str(config.state_dir.resolve())}
    if not (config.database_url and config.prefect_database_url):
        urls = postgres.find(config.state_dir)
        if urls is None:
            raise Misconfigured(
                "no database: set INSTANT_DATABASE_URL and INSTANT_PREFECT_DATABASE_URL, or start `instant dev`"
            )
        lines |= {name: url for name, url in urls.environment().items() if name != OWNER}
    for name in ("database_url", "prefect_database_url"):
        if url := getattr(config, name):
            lines[f"INSTANT_{name.upper()}"] = url.get_secret_value()
    for name, value in (lines | client_environment(config)).items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201 - a shell reads it, so nothing is escaped


# These commands start or find the databases themselves, or need none.
_ON_THEIR_OWN: tuple[Callable[..., Any], ...] = (buy, dev, env, verify)


# What a command or its children write is for its owner alone: keys, books, logs and pictures.
_PRIVATE = 0o077


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The command's exit code, or 0; 1 if it failed; 2 if the command line or the environment must change first; 130
        after Ctrl-C.
    """
    os.umask(_PRIVATE)
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
        return _say("the database cannot be reached; check INSTANT_DATABASE_URL", 1)
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


def _ready_to_run(*, is_selling: bool) -> Settings:
    """Check what a door or an executor depends on, and set Prefect's environment.

    Raises:
        Misconfigured: something must be changed before this can start.
    """
    from deployments import start_checks

    config = load()
    start_checks.check_all(config, is_selling=is_selling)
    meet_prefect(config)
    return config


async def _finish(result: Awaitable[object]) -> object:
    return await result


def _is_help(command: Callable[..., Any]) -> bool:
    """Tell whether cyclopts answers itself: --help, --version, or no command."""
    return getattr(command, "__module__", "").startswith("cyclopts") or hasattr(command, "__self__")


def _state_dir() -> Path:
    return Path(os.environ.get("INSTANT_STATE_DIR") or ".instant")


def _say(sentence: str, code: int) -> int:
    output.remark(f"instant: {sentence}")
    return code
