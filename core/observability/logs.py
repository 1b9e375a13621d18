"""What logs say about other people's exceptions: the type and our own frames, never the text."""

import logging

from core.failures import Failure, place_of

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
