"""Admission control: a limit that adapts, a bounded queue, refusals at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from online.model.admission import Admission, QueueFullError
from rag.errors import LlmUnavailableError


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def admission(clock: Callable[[], float], **changes: Any) -> Admission:
    settings = {"start": 2, "most": 64, "target_seconds": 10.0, "queue_length": 3, "queue_seconds": 30.0}
    return Admission(**(settings | changes), clock=clock)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


@contextlib.asynccontextmanager
async def held(gate: Admission, count: int) -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(gate.place())
        yield stack


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_at_most_the_limit_runs_at_once_and_the_rest_waits_in_order() -> None:
    async def test() -> None:
        gate = admission(Clock())
        order: list[int] = []

        async def call(number: int) -> None:
            async with gate.place():
                order.append(number)

        async with held(gate, 2):
            calls = [asyncio.create_task(call(number)) for number in range(3)]
            await settle()
            assert (gate.running, gate.waiting, order) == (2, 3, [])
        await asyncio.gather(*calls)
        assert order == [0, 1, 2]
        assert (gate.running, gate.waiting) == (0, 0)

    run(test)


def test_when_the_queue_is_full_the_refusal_comes_at_once_with_a_time_to_come_back() -> None:
    async def test() -> None:
        gate = admission(Clock(), queue_length=0)
        async with held(gate, 2):
            with pytest.raises(QueueFullError) as refused:
                async with gate.place():
                    raise AssertionError
            assert refused.value.retry_after >= 1

    run(test)


def test_a_call_that_would_wait_too_long_is_refused_at_once() -> None:
    async def test() -> None:
        clock = Clock()
        gate = admission(clock, start=1, most=1, queue_length=100, queue_seconds=15.0)
        async with held(gate, 1):
            clock.now += 8.0  # one call takes 8 seconds
        async with held(gate, 1):
            waiting = asyncio.create_task(_enter(gate))  # 8 seconds to wait: bearable
            await settle()
            with pytest.raises(QueueFullError):  # 16 seconds: not
                await _enter(gate)
            waiting.cancel()

    run(test)


def test_the_limit_grows_while_calls_are_quick_and_shrinks_when_they_are_slow() -> None:
    async def test() -> None:
        clock = Clock()
        gate = admission(clock)
        for _ in range(60):
            async with held(gate, gate.limit):
                clock.now += 1.0
        grown = gate.limit
        assert grown > 8
        for _ in range(60):
            async with held(gate, gate.limit):
                clock.now += 11.0
        assert gate.limit < grown / 4

    run(test)


def test_a_limit_that_is_not_used_up_does_not_grow() -> None:
    async def test() -> None:
        gate = admission(Clock(), start=4)
        for _ in range(100):
            async with held(gate, 1):
                pass
        assert gate.limit == 4

    run(test)


def test_a_model_that_is_too_busy_shrinks_the_limit_once_per_round_and_not_below_one() -> None:
    async def test() -> None:
        clock = Clock()
        gate = admission(clock, start=10)
        for _ in range(5):
            await _fail(gate)
        assert gate.limit == 9
        for _ in range(200):
            clock.now += 100
            await _fail(gate)
        assert gate.limit == 1

    run(test)


def test_a_cancelled_call_frees_its_place() -> None:
    async def test() -> None:
        gate = admission(Clock())
        async with held(gate, 2):
            waiting = asyncio.create_task(_enter(gate))
            await settle()
            waiting.cancel()
            await settle()
            assert gate.waiting == 0
        running = asyncio.create_task(_stay(gate))
        await settle()
        assert gate.running == 1
        running.cancel()
        await settle()
        assert gate.running == 0

    run(test)


def test_a_place_granted_just_as_the_caller_gives_up_is_not_lost() -> None:
    async def test() -> None:
        gate = admission(Clock(), start=1)
        stack = contextlib.AsyncExitStack()
        await stack.enter_async_context(gate.place())
        waiting = asyncio.create_task(_enter(gate))
        await settle()
        await stack.aclose()  # grants the place ...
        waiting.cancel()  # ... to one who has just gone
        await settle()
        assert gate.running == 0
        async with gate.place():
            assert gate.running == 1

    run(test)


async def _enter(gate: Admission) -> None:
    async with gate.place():
        pass


async def _stay(gate: Admission) -> None:
    async with gate.place():
        await asyncio.Event().wait()


async def _fail(gate: Admission) -> None:
    with contextlib.suppress(LlmUnavailableError):
        async with gate.place():
            raise LlmUnavailableError("busy", retry_after=1.0)
