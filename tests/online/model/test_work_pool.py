"""Threads for computing: bounded, and outlived by what they use."""

from __future__ import annotations

import asyncio
import threading

import pytest

from online.errors import Problem
from online.model.work_pool import WorkPool


def test_a_cancelled_caller_waits_for_the_thread_that_has_begun() -> None:
    async def test() -> None:
        pool = WorkPool(1, 4)
        begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            go_on.wait(20)
            ended.set()

        call = asyncio.create_task(pool.run(work))
        await asyncio.to_thread(begun.wait, 20)
        call.cancel()
        await asyncio.wait([call], timeout=0.05)
        assert not call.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ended.is_set()
        pool.close()

    asyncio.run(test())


def test_calls_beyond_the_queue_are_refused_at_once_and_places_come_back() -> None:
    async def test() -> None:
        pool = WorkPool(1, 1)
        go_on = threading.Event()
        calls = [asyncio.create_task(pool.run(go_on.wait, 20)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="Too many"):
            await pool.run(int)
        go_on.set()
        await asyncio.gather(*calls)
        assert await pool.run(int) == 0
        pool.close()

    asyncio.run(test())


def test_a_waiting_call_is_dropped_when_its_caller_is_cancelled() -> None:
    async def test() -> None:
        pool = WorkPool(1, 4)
        go_on, never = threading.Event(), threading.Event()
        first = asyncio.create_task(pool.run(go_on.wait, 20))
        waiting = asyncio.create_task(pool.run(never.set))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go_on.set()
        await first
        pool.close()
        assert not never.is_set()

    asyncio.run(test())
