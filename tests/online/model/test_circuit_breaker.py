"""The circuit breaker: closed, open, half-open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from online.model.circuit_breaker import CircuitBreaker


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(3, 2.0, clock)
    for _ in range(3):
        assert breaker.allow()
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_does_not() -> None:
    breaker = CircuitBreaker(3, 2.0, Clock())
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        outcome()
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.state == "open"
    assert not breaker.allow()


def test_after_the_pause_one_call_is_let_through() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 2.0
    assert breaker.state == "half-open"
    assert breaker.allow()
    assert not breaker.allow()


def test_a_success_closes_it() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 2.0
    breaker.allow()
    breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.allow()


def test_the_pause_doubles_up_to_thirty_seconds_while_it_stays_down() -> None:
    clock = Clock()
    breaker = opened(clock)
    pauses = []
    for _ in range(6):
        pauses.append(breaker.seconds_left)
        clock.now += breaker.seconds_left
        breaker.allow()
        breaker.failed()
    assert pauses == [2, 4, 8, 16, 30, 30]


def test_an_abandoned_probe_lets_the_next_call_try() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 2.0
    breaker.allow()
    breaker.abandoned()
    assert breaker.allow()


def test_late_failures_of_calls_that_were_under_way_do_not_lengthen_the_pause() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 1.0
    breaker.failed()
    assert breaker.seconds_left == 1.0


@given(st.lists(st.sampled_from(["allow", "succeeded", "failed", "abandoned", "wait"]), max_size=60))
def test_it_always_lets_a_call_through_in_the_end(steps: list[str]) -> None:
    clock = Clock()
    breaker = CircuitBreaker(2, 1.0, clock)
    for step in steps:
        if step == "wait":
            clock.now += 0.7
        else:
            getattr(breaker, step)()
    breaker.abandoned()
    clock.now += 31
    assert breaker.allow()
