"""`Prefer`, as RFC 7240 has it."""

import pytest

from api.bodies import patience
from core.settings import settings


@pytest.mark.parametrize(
    ("lines", "seconds", "applied"),
    [
        ([], None, None),
        (["wait=3"], 3, "wait=3"),
        (['wait="3"'], 3, "wait=3"),
        (["Wait = 3"], 3, "wait=3"),
        (["wait=3, wait=9"], 3, "wait=3"),
        (["wait=3; x=1"], 3, "wait=3"),
        (["wait=999999"], settings().max_wait_seconds, f"wait={settings().max_wait_seconds:.0f}"),
        (["wait=" + "9" * 400], settings().max_wait_seconds, f"wait={settings().max_wait_seconds:.0f}"),
        (["respond-async"], 0, "respond-async"),
        # 4.3: asynchronous only if the answer takes longer than the wait.
        (["respond-async, wait=3"], 3, "wait=3"),
        # 2: several lines are one list.
        (["handling=lenient", "respond-async"], 0, "respond-async"),
        (["return=minimal", "wait=3"], 3, "wait=3"),
        (['foo="respond-async"'], None, None),
        (["x-respond-async"], None, None),
        (["max-wait=0"], None, None),
        (["wait=-1"], None, None),
        (["wait=1e9"], None, None),
        (["wait=\N{ARABIC-INDIC DIGIT THREE}"], None, None),
        (["", ",", "=", ";"], None, None),
    ],
)
def test_prefer(lines: list[str], seconds: float | None, applied: str | None) -> None:
    """Names are compared whole, lists and lines are one, and what is not understood is ignored."""
    wait = patience(lines)

    assert (wait.seconds, wait.applied) == (settings().answer_seconds if seconds is None else seconds, applied)
