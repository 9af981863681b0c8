"""A few threads for computing: embedding, searching, opening files.

Bounded, so that a flood of misses is refused at once instead of queueing for the processor; exact hits never come here.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from online.errors import Problem

TOGETHER = 4
"""Texts of one request that are embedded at once, 20 ms: others wait that long, and more at once save nothing."""

P = ParamSpec("P")
T = TypeVar("T")


class WorkPool:
    """`threads` threads, and at most `queue` calls that wait for one."""

    def __init__(self, threads: int, queue: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="compute", initializer=_alone)
        self._threads = threads
        self._most = threads + queue
        self._pending = 0

    @property
    def crowded(self) -> bool:
        """Whether more calls wait than run."""
        return self._pending > 2 * self._threads

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work. A cancelled caller waits for a thread that has begun.

        So what the thread uses, such as a release, is not closed under it.

        Raises:
            Problem: too many wait already.
        """
        if self._pending >= self._most:
            raise Problem("queue-full", "Too many new questions at once; try again shortly.", retry_after=1)
        return await self.finish(work, *args, **kwargs)

    async def finish(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the blocking work that ends an answer, as `run` does: it is never refused, its tokens are spent."""
        self._pending += 1
        future = self._executor.submit(functools.partial(work, *args, **kwargs))
        outcome = asyncio.wrap_future(future)
        outcome.add_done_callback(self._done)
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            if not future.cancel():
                await asyncio.wait([outcome])
            raise

    def _done(self, _: object) -> None:
        self._pending -= 1

    def close(self) -> None:
        """Finish the running calls and drop the waiting ones."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _alone() -> None:
    """Have FAISS search in the calling thread: on a busy machine a search in two takes ten times as long as in one."""
    import faiss

    faiss.omp_set_num_threads(1)
