"""The simulated queue against the formula of Erlang, and against the admission control of the service."""

from __future__ import annotations

import asyncio
import heapq
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online.model.admission import Admission, QueueFullError
from warehouse.economics.queueing import (
    UNLIMITED,
    Engine,
    Limits,
    Visit,
    answered_seconds,
    goodput,
    lengths,
    percentile,
    poisson,
    simulate,
    steady,
)


def erlang_c_wait(rate: float, service: float, servers: int) -> float:
    """Return the mean wait in an M/M/c queue."""
    load = rate * service
    full = load**servers / math.factorial(servers) * servers / (servers - load)
    waits = full / (sum(load**n / math.factorial(n) for n in range(servers)) + full)
    return waits * service / (servers - load)


@pytest.mark.parametrize(("rate", "servers"), [(0.7, 1), (6.4, 8)])
def test_without_limits_the_mean_wait_is_that_of_erlang_c(rate: float, servers: int) -> None:
    rng, count = random.Random(2), 20_000
    tokens = [rng.expovariate(1.0) for _ in range(count)]
    engine = Engine(alone=1.0, full=float(servers), sequences=servers)

    found = simulate(poisson(rate, count, rng), tokens, engine, UNLIMITED)

    seconds = sum(each.seconds for each in found) / count
    expected = 1 + erlang_c_wait(rate, 1.0, servers)
    assert seconds == pytest.approx(expected, rel=0.06)


def test_answers_at_once_slow_each_other_as_measured_alone_and_together() -> None:
    engine = Engine(alone=50, full=800, sequences=32, replicas=2)

    assert engine.pace(1) == engine.pace(2) == pytest.approx(50)  # each has a replica of its own
    assert engine.pace(64) * 64 == pytest.approx(2 * 800)
    assert simulate([0.0], [100.0], engine, Limits()) == [Visit(0.0, pytest.approx(2.0), True)]


class _Clock(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer, so that the service's own code runs in simulated time."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class _Model:
    """A model with a fixed number of places, as the fake one of the benchmarks."""

    def __init__(self, loop: _Clock, places: int, seconds: float) -> None:
        self._loop, self._seconds = loop, seconds
        self._free = [0.0] * places

    async def answer(self) -> None:
        begins = max(self._loop.time(), heapq.heappop(self._free))
        heapq.heappush(self._free, begins + self._seconds)
        await asyncio.sleep(begins + self._seconds - self._loop.time())


def admitted(arrivals: list[float], places: int, seconds: float, limits: Limits) -> list[Visit]:
    """Drive the admission control of the service."""
    loop = _Clock()
    admission = Admission(
        start=limits.concurrency, most=limits.concurrency_limit, target_seconds=limits.target_seconds,
        queue_length=limits.queue_length, queue_seconds=limits.queue_seconds, clock=loop.time,
    )  # fmt: skip
    model = _Model(loop, places, seconds)

    async def one(arrived: float) -> Visit:
        await asyncio.sleep(arrived - loop.time())
        try:
            async with admission.place():
                await model.answer()
        except QueueFullError:
            return Visit(arrived, loop.time() - arrived, False)
        return Visit(arrived, loop.time() - arrived, True)

    async def everyone() -> list[Visit]:
        return list(await asyncio.gather(*map(one, arrivals)))

    try:
        return loop.run_until_complete(everyone())
    finally:
        loop.close()


@pytest.mark.parametrize("load", [0.6, 1.2, 10.0])
def test_the_simulation_admits_and_refuses_as_the_service_does(load: float) -> None:
    places, seconds, duration = 8, 1.0, 60.0
    limits = Limits(target_seconds=2.0, queue_length=32, queue_seconds=5.0)
    arrivals = [each + 0.001 for each in steady(load * places / seconds, duration)]
    engine = Engine(1 / seconds, places / seconds, places)

    simulated = simulate(arrivals, [1.0] * len(arrivals), engine, limits)
    real = admitted(arrivals, places, seconds, limits)

    assert goodput(simulated, duration) == pytest.approx(goodput(real, duration), rel=0.05)
    for share in (0.5, 0.99):
        expected = percentile(list(answered_seconds(real)), share)
        assert percentile(list(answered_seconds(simulated)), share) == pytest.approx(expected, rel=0.1)


@settings(max_examples=40)
@given(st.floats(0.1, 40), st.integers(1, 8), st.integers(1, 16), st.integers(0, 20), st.floats(0.1, 10))
def test_every_request_ends_once_and_none_waits_longer_than_allowed(
    rate: float, replicas: int, sequences: int, queue: int, wait: float
) -> None:
    rng = random.Random(1)
    engine = Engine(10, 10.0 * sequences, sequences, replicas)
    limits = Limits(concurrency=4, target_seconds=3, queue_length=queue, queue_seconds=wait)

    found = simulate(poisson(rate, 200, rng), lengths(10, 0.5, 200, rng), engine, limits)

    assert len(found) == 200
    assert all(each.seconds <= wait + 1e-6 for each in found if not each.answered)
