"""The breaker: who may send a request while a service does not answer."""

import hypothesis.strategies as st
from hypothesis import given

from core.net.circuit_breaker import Breaker


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    """Make a breaker that has just opened."""
    breaker = Breaker(limit=3, seconds=5, clock=clock)
    for _ in range(3):
        assert breaker.may_send()
        breaker.record(answered=False)
    return breaker


def test_only_silence_in_a_row_opens_it() -> None:
    """An answer in between resets the count."""
    breaker = Breaker(limit=3, clock=Clock())
    for answered in (False, False, True, False, False):
        breaker.record(answered=answered)

    assert breaker.may_send()
    breaker.record(answered=False)
    assert not breaker.may_send()


def test_one_probe_after_a_while_closes_it_for_all() -> None:
    """It is open for its time, then one caller probes, and all others wait for its result."""
    clock = Clock()
    breaker = opened(clock)

    clock.now = 4.9
    assert not breaker.may_send()
    clock.now = 5.0
    assert [breaker.may_send() for _ in range(3)] == [True, False, False]
    breaker.record(answered=True)
    assert [breaker.may_send() for _ in range(3)] == [True, True, True]


def test_a_probe_without_an_answer_is_followed_by_another() -> None:
    """Another probe follows, even when the first caller never reports."""
    clock = Clock()
    breaker = opened(clock)

    for clock.now in (5.0, 10.0):
        assert [breaker.may_send(), breaker.may_send()] == [True, False]
        breaker.record(answered=False)
        assert not breaker.may_send()
    clock.now = 15.0
    assert [breaker.may_send(), breaker.may_send()] == [True, False]
    clock.now = 20.0
    assert [breaker.may_send(), breaker.may_send()] == [True, False]


@given(steps=st.lists(st.tuples(st.sampled_from(["ask", "silence", "answer"]), st.floats(0, 4)), max_size=60))
def test_it_never_shuts_anybody_out_for_longer_than_its_time(steps: list[tuple[str, float]]) -> None:
    """In any order of events, one wait after the last permission the next caller may ask."""
    clock = Clock()
    breaker = Breaker(limit=2, seconds=5, clock=clock)
    for step, seconds in steps:
        clock.now += seconds
        match step:
            case "ask":
                breaker.may_send()
            case "silence":
                breaker.record(answered=False)
            case "answer":
                breaker.record(answered=True)
                assert breaker.may_send()

    clock.now += 5
    assert breaker.may_send()
