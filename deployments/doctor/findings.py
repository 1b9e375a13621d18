"""What a check finds, and how one that cannot be finished is told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from core import db
from core.failures import Misconfigured, Unavailable

State = Literal["ok", "warning", "wrong", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        check: what was looked at.
        state: `wrong` needs you now; `warning` soon, or it may be meant so; `unknown` could not be looked at.
        sentence: what was found and, unless it is ok, what to do.
    """

    check: str
    state: State
    sentence: str


Check = Callable[[], Awaitable[list[Finding]]]


def ok(check: str, sentence: str) -> Finding:
    """What is as it should be."""
    return Finding(check, "ok", sentence)


def warning(check: str, sentence: str) -> Finding:
    """What needs attention, or may be meant."""
    return Finding(check, "warning", sentence)


def wrong(check: str, sentence: str) -> Finding:
    """What has to be changed."""
    return Finding(check, "wrong", sentence)


async def run(name: str, check: Check) -> list[Finding]:
    """Run a check to its end, whatever is broken: these are all the errors that a check can raise.

    Args:
        name: what it looks at.
        check: returns what it finds.
    """
    try:
        return await check()
    except Misconfigured as failure:
        return [wrong(name, str(failure))]
    except Unavailable as failure:
        return [Finding(name, "unknown", f"could not be looked at ({failure.code})")]
    except db.UNREACHABLE as error:
        return [Finding(name, "unknown", f"the database went away ({type(error).__name__})")]
