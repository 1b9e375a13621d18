"""Define the `instant` command: start, prepare and stop processes. Other commands are mounted from their own modules.

A command imports the modules that it needs when it runs, so that no command waits for what only others need. Prefect
reads its environment when it is imported, so the environment has to be set first.
"""

import asyncio
import inspect
import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

from cli import output
from cli.backup import backup, restore
from cli.buy import buy
from cli.doctor import doctor
from cli.drain import drain
from cli.login import login, logout, whoami
from cli.mcp import mcp
from cli.remote import door, logins
from cli.shared import Flag, meet_prefect
from cli.verify import verify
from core.db import reach
from core.db.pool import UNREACHABLE, owner_database_url
from core.failures import Failure, InvalidInput, Misconfigured, NotFound
from core.settings import Settings, load

app = App(
    name="instant",
    help="Sell a prompt by the call.",
    help_epilogue=(
        "Commands about your own prompts, keys, usage, refunds, tokens and notices run here, or at a door: at the one"
        " that `--at URL` names, or else, where there is no database, at the one of `instant login URL`."
    ),
    version=lambda: metadata.version("x402-instant"),
    version_flags=["--version"],
    result_action="return_value",
)
app.command(buy)
app.command(verify)
app.command(mcp)

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
    "webhooks": ("cli.webhooks:webhooks", "The addresses that programs of creators are told at."),
    "usage": ("cli.usage:usage", "Calls with their revenue and cost."),
}
for name, (path, sentence) in _GROUPS.items():
    app.command(path, name=name, help=sentence)
for command in (backup, doctor, drain, login, logout, restore, whoami):
    app.command(command)


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
_ON_THEIR_OWN: tuple[Callable[..., Any], ...] = (buy, dev, doctor, env, login, logout, mcp, verify, whoami)


# What a command or its children write is for its owner alone: keys, books, logs and pictures.
_PRIVATE = 0o077


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The command's exit code, or 0; 1 if it failed; 2 if the command line or the environment must change first; 130
        after Ctrl-C; 141 if the reader of its output went away.
    """
    os.umask(_PRIVATE)
    at = None
    try:
        words, named = _take_at(sys.argv[1:] if arguments is None else arguments)
        command, bound, _ignored = app.parse_args(words, exit_on_error=False, print_error=True)
        with ExitStack() as databases:
            if not _is_help(command):
                at = _place(command, named)
                databases.enter_context(door.using(at))
            if at is None and command not in _ON_THEIR_OWN and not _is_help(command):
                from deployments import postgres

                databases.enter_context(postgres.provided(load()))
            result = command(*bound.args, **bound.kwargs)
            if inspect.isawaitable(result):
                result = asyncio.run(_finish(result))
        sys.stdout.flush()
    except CycloptsError:
        return 2
    except Misconfigured as failure:
        return _say(str(failure), 2)
    except InvalidInput as failure:
        return _say("\n".join(f"{name}: {sentence}" for name, sentence in failure.fields.items()), 1, at)
    except NotFound:
        return _say("there is no such thing", 1, at)
    except Failure as failure:
        return _say(str(failure), 1, at)
    except UNREACHABLE as error:
        return _say(_unreachable(error), 1)
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


def _unreachable(error: Exception) -> str:
    """Say which database cannot be reached, and why: the one that another attempt does not reach either."""
    config = load()
    for name in ("database_url", "owner_database_url"):
        url = getattr(config, name)
        if url is not None and (sentence := reach.look(f"INSTANT_{name.upper()}", url.get_secret_value())):
            return sentence
    return f"the database cannot be reached, or went away ({type(error).__name__}); check INSTANT_DATABASE_URL"


def _reader_left() -> int:
    """End quietly when nobody reads the output any more, as after `| head`; as a shell sees it, by SIGPIPE."""
    # Python flushes once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _take_at(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Take `--at URL` out of a command line, wherever it stands before a `--`.

    Raises:
        InvalidInput: names `--at`, if nothing follows it.
    """
    words, named = list(arguments), None
    end = words.index("--") if "--" in words else len(words)
    for place, word in enumerate(words[:end]):
        if word.startswith("--at="):
            named = word.removeprefix("--at=")
            return words[:place] + words[place + 1 :], named
        if word == "--at":
            if place + 1 >= end:
                raise InvalidInput({"--at": "must be followed by the URL of a door"})
            return words[:place] + words[place + 2 :], words[place + 1]
    return words, named


def _place(command: Callable[..., Any], named: str | None) -> logins.Login | None:
    """Return the door that a command runs at; None: here. `cli.remote.door` has the rule.

    Raises:
        Misconfigured: the command runs only on the server, and there is none here, or another place was named.
    """
    if not door.runs_anywhere(command):
        if named:
            raise InvalidInput({"--at": "this command does not run at a door"})
        if command in _ON_THEIR_OWN or door.is_server() or (known := logins.read()) is None:
            return None
        raise Misconfigured(
            f"this command needs the server's database, and there is none here; you are logged in at {known.url}"
        )
    at = door.choose(named)
    if at is None and command is not whoami and (known := logins.read()) is not None:
        output.remark(f"instant: on the database of this machine; your login at {known.url} needs --at {known.url}")
    return at


def _ready_to_run(*, is_selling: bool) -> Settings:
    """Check what a door or an executor depends on, and set Prefect's environment.

    Raises:
        Misconfigured: something must be changed before this can start.
    """
    from core.observability import logs
    from deployments import start_checks

    config = load()
    logs.configure(config)
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


def _say(sentence: str, code: int, at: logins.Login | None = None) -> int:
    place = f"instant at {at.url}" if at else "instant"
    output.remark(f"{place}: {sentence}")
    return code
