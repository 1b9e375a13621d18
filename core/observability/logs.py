"""How a process logs; and what logs say about other people's exceptions: type and our own frames, never the text."""

import logging
import sys
import time

from pythonjsonlogger.json import JsonFormatter

from core.failures import Failure, place_of
from core.settings import Settings

# These libraries print what we do not catch: a route's exception, and that of a task which nobody awaits.
_LOGGERS = (
    "asyncio",
    "uvicorn.error",
    # What the MCP SDK could not write, it quotes.
    "mcp.server.runner",
    "mcp.server.streamable_http",
    "mcp.server.streamable_http_manager",
    "mcp.shared.jsonrpc_dispatcher",
)
# Prefect prints a traceback for each failed call, also for one that a buyer's words caused.
_RUNS = ("prefect.task_runs", "prefect.flow_runs")

# Whose lines INSTANT_LOG_LEVEL is about. Of libraries, warnings are logged.
_OURS = ("api", "cli", "core", "deployments", "flows", "instant", "tasks")
# These have handlers of their own once they are imported.
_WITH_HANDLERS = ("uvicorn", "fastapi")
_TIME = "%Y-%m-%dT%H:%M:%S"


def configure(config: Settings) -> None:
    """Log to standard error from now on, as the settings say.

    Call it again after Prefect was imported, which sets up the log in its own way.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json() if config.log_format == "json" else _text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if config.log_level != "error" else logging.ERROR)
    for name in _OURS:
        logging.getLogger(name).setLevel(config.log_level.upper())
    for name in _WITH_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _text() -> logging.Formatter:
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", _TIME)
    formatter.converter = time.gmtime
    return formatter


def _json() -> logging.Formatter:
    """One object a line: time (UTC), level, logger, process and message, and what a line has beside it."""
    formatter = JsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s",
        f"{_TIME}Z",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
    )
    formatter.converter = time.gmtime
    return formatter


def hide_exception_texts() -> None:
    """From now on, libraries that log an exception of this process log its type and place instead of its text.

    A failure that we raise is one line: it is expected, and a stranger must not fill the log with tracebacks.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_replace_exception)
    for name in _RUNS:
        logging.getLogger(name).addFilter(_drop_traceback)


def _replace_exception(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error:
        # Below the first line asyncio quotes the task, and with it the exception.
        first_line = record.getMessage().partition("\n")[0]
        record.msg, record.args = "%s: %s", (first_line, place_of(error))
        record.exc_info = record.exc_text = None
    return True


def _drop_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], Failure):
        record.exc_info = record.exc_text = None
    return True
