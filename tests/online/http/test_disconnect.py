"""Work is cancelled when the client disconnects, and only then."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from online.errors import ClientGoneError
from online.http.disconnect import while_connected


async def never() -> Message:
    await asyncio.Event().wait()
    return {"type": "http.request"}


async def at_once() -> Message:
    return {"type": "http.disconnect"}


def test_work_is_done_while_the_client_stays() -> None:
    async def work() -> str:
        async with while_connected(never):
            return "done"

    assert asyncio.run(work()) == "done"


def test_work_is_cancelled_when_the_client_disconnects() -> None:
    async def work() -> None:
        async with while_connected(at_once):
            await asyncio.Event().wait()

    with pytest.raises(ClientGoneError):
        asyncio.run(work())


def test_the_task_goes_on_after_a_disconnect() -> None:
    async def work() -> int:
        with pytest.raises(ClientGoneError):
            async with while_connected(at_once):
                await asyncio.Event().wait()
        await asyncio.sleep(0)
        task = asyncio.current_task()
        return -1 if task is None else task.cancelling()

    assert asyncio.run(work()) == 0


def test_a_disconnect_after_the_work_is_no_disconnect() -> None:
    async def work() -> str:
        leave = asyncio.Event()

        async def leaves() -> Message:
            await leave.wait()
            return {"type": "http.disconnect"}

        async with while_connected(leaves):
            leave.set()  # as the server does when the last part of the response is sent
        await asyncio.sleep(0)
        return "done"

    assert asyncio.run(work()) == "done"


def test_a_task_that_the_server_cancels_is_cancelled() -> None:
    async def work() -> None:
        async with while_connected(never):
            await asyncio.Event().wait()

    async def shut_down() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(shut_down())
