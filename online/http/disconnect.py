"""Cancel work when the client disconnects, to free its model slot."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.types import Receive

from online.errors import ClientGoneError


@contextlib.asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Cancel the body when the client disconnects; the request must have been read.

    Raises:
        ClientGoneError: the client disconnected.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("while_connected needs a task to cancel")
    before, gone, inside = task.cancelling(), False, True

    def cancel(watching: asyncio.Task[None]) -> None:
        nonlocal gone
        if inside and not watching.cancelled():
            gone = True
            task.cancel()

    watching = asyncio.create_task(_disconnected(receive))
    watching.add_done_callback(cancel)
    try:
        yield
    except asyncio.CancelledError:
        if gone and task.uncancel() <= before:  # else the server cancels it too
            raise ClientGoneError from None
        raise
    finally:
        inside = False
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    with contextlib.suppress(Exception):
        while (await receive())["type"] != "http.disconnect":
            pass
