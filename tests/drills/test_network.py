"""The network of a drill does what its faults say: far, slow, or not there; and the clock that a process is given."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from drills import cluster
from drills.network import Host, Network, network, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))

_DELAY = 0.05


@pytest.fixture(scope="module")
def joined() -> Iterator[Network]:
    """One bridge for all tests."""
    with network() as made:
        yield made


def reach(one: Host, other: Host, seconds: float = 5) -> float | None:
    """How long a connection takes; None if it is not made in time."""

    def listen() -> socket.socket:
        made = socket.socket()
        made.bind((other.address, 0))
        made.listen()
        return made

    def connect(port: int) -> float | None:
        began = time.monotonic()
        with socket.socket() as made:
            made.settimeout(seconds)
            try:
                made.connect((other.address, port))
            except TimeoutError:
                return None
        return time.monotonic() - began

    with other.inside(listen) as listener:
        return one.inside(connect, listener.getsockname()[1])


def test_a_host_is_cut_off_and_joined_again(joined: Network) -> None:
    """Nothing is refused while it is cut off: frames are lost without a word, as between real cluster."""
    one, other = joined.add("one"), joined.add("other")

    assert reach(one, other) is not None
    joined.cut(one)
    assert reach(one, other, 0.3) is None
    joined.join(one)
    assert reach(one, other) is not None


def test_a_slow_host_takes_its_time_in_both_directions(joined: Network) -> None:
    """The first connection also asks for the address of the other."""
    near, slow = joined.add("near"), joined.add("slow", delay=_DELAY)
    reach(near, slow)

    assert (reach(near, slow) or 0) >= 2 * _DELAY
    assert (reach(slow, near) or 0) >= 2 * _DELAY


@pytest.mark.skipif(bool(cluster.why_not()), reason=str(cluster.why_not()))
def test_a_clock_is_ahead() -> None:
    """The time of day is; a stopwatch is not."""
    code = "import time; print(time.time(), time.monotonic())"
    told = subprocess.run([sys.executable, "-c", code], env=cluster.false_clock(), capture_output=True, check=True)
    day, stopwatch = map(float, told.stdout.split())

    assert day - time.time() == pytest.approx(cluster.AHEAD_SECONDS, abs=30)
    assert stopwatch - time.monotonic() == pytest.approx(0, abs=30)
