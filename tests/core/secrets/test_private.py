"""Private values are not exposed when they are printed, logged, formatted, copied or stored."""

import copy
import json
import logging
import pickle
import traceback

import pytest

from core.secrets.private import Private

SECRET = "canary-7f3a"


def test_revealed_only_on_purpose() -> None:
    """Only `reveal` gives the value."""
    assert Private(SECRET).reveal() == SECRET


def test_printing_hides_it(caplog: pytest.LogCaptureFixture) -> None:
    """No conversion to text shows the content."""
    box = Private(SECRET)
    logging.getLogger(__name__).warning("%s %r %s", box, box, [box])

    shown = [str(box), repr(box), f"{box}", f"{box!r:>20}", "%s" % box, repr({"key": [box]}), caplog.text]  # noqa: UP031

    assert not any(SECRET in text for text in shown)
    assert str(box) == "Private(***)"


def test_a_traceback_with_locals_hides_it() -> None:
    """Error reports that print local variables show only the box."""

    def fail(box: Private[str]) -> None:
        raise ValueError(box)

    with pytest.raises(ValueError, match="Private") as caught:
        fail(Private(SECRET))

    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert SECRET not in "".join(line for line in report.format() if "SECRET" not in line)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    """Every pickle protocol refuses it, also inside another object."""
    for value in (Private(SECRET), {"key": [Private(SECRET)]}, ValueError(Private(SECRET))):
        with pytest.raises(TypeError, match="cannot be stored"):
            pickle.dumps(value, protocol)


def test_it_cannot_become_json_or_a_copy() -> None:
    """JSON has no form for it, it has no attributes to walk, and copying is refused like storing."""
    with pytest.raises(TypeError):
        json.dumps(Private(SECRET))
    with pytest.raises(TypeError):
        vars(Private(SECRET))
    with pytest.raises(TypeError, match="cannot be stored"):
        copy.deepcopy(Private(SECRET))
