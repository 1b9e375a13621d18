"""Say where an exception came from, for logs, without anything that it says itself."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).parents[2]
# Third-party code may be installed below our root.
_OURS = frozenset({"api", "cli", "core", "deployments", "flows", "sandbox", "tasks"})
# An endless recursion has a thousand frames, and a group holds any number of exceptions.
_MOST_FRAMES = 12
_MOST_ERRORS = 6


def place_of(error: BaseException) -> str:
    """Describe an exception for a log by its type and our own frames, without its message or any value.

    Returns:
        Such as `KeyError at core/failures/kinds.py:42 in f < flows/notice.py:7 in g`, the innermost frame first. The
        exceptions that caused it, and those that it groups, follow in the same form.
    """
    return "; ".join(f"{type(cause).__name__} at {_frames(cause)}" for cause in _with_causes(error))


def log_unexpected_end(task: "asyncio.Task[Any]") -> None:
    """Log the exception of a task that nobody awaits; asyncio would print its whole text. Use it as a done callback."""
    if not task.cancelled() and (error := task.exception()):
        _log.error("the task %s ended with %s", task.get_name(), place_of(error))


def _with_causes(error: BaseException) -> list[BaseException]:
    errors: list[BaseException] = []
    waiting = [error]
    while waiting and len(errors) < _MOST_ERRORS:
        current = waiting.pop(0)
        if not any(current is seen for seen in errors):  # causes may form a ring, and exceptions may define equality
            errors.append(current)
            waiting += _causes(current)
    return errors


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ if error.__suppress_context__ else error.__context__
    if cause:
        yield cause
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions


def _frames(error: BaseException) -> str:
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = [
        f"{path}:{line} in {code.co_name}"
        for code, line in reversed(frames)
        if (path := _relative_path(code.co_filename))
    ]
    if len(ours) > _MOST_FRAMES:
        ours[_MOST_FRAMES:] = ["..."]
    return " < ".join(ours) or "a place that is not ours"


def _relative_path(path: str) -> str | None:
    """The name of a source file in this repository; None for other people's files."""
    file = Path(path)
    if not file.is_relative_to(_ROOT):
        return None
    file = file.relative_to(_ROOT)
    return file.as_posix() if file.parts[0] in _OURS else None
