"""Admission control: how many misses may run at the language model at once, and how many may wait.

The limit adapts by additive increase and multiplicative decrease, as in Breakwater (OSDI 2020): a call within
`target_seconds` while the limit is used up adds 1 / limit; a slower one or a "too busy" takes a tenth, at most once per
round of calls. The signal is latency against a target, not a gradient against the idle latency: every call slows down
a batching engine, so a gradient would stop far below the best throughput (docs/measurements.md).

Waiting is bounded twice: by number, and by the wait that the recent pace predicts. A call that would wait too long is
refused at once and told when to come back; a refusal after a long wait is worth nothing (DAGOR, SoCC 2018).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from rag.errors import LlmUnavailableError

_DECREASE = 0.9
_PACE_MEMORY = 0.1  # weight of the newest call in the mean
_CAUTION = 0.75  # of the longest wait may be predicted: a batching engine's calls end in bunches


class QueueFullError(Exception):
    """There is no place, and waiting is no use; `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"try again in {retry_after:.0f} s")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Place:
    """A granted place and the wait for it."""

    queue_seconds: float


class Admission:
    """A concurrency limit that adapts, with a bounded queue in the order of arrival."""

    def __init__(
        self,
        *,
        start: int,
        most: int,
        target_seconds: float,
        queue_length: int,
        queue_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = float(min(start, most))
        self._most = most
        self._target = target_seconds
        self._queue_length = queue_length
        self._queue_seconds = queue_seconds
        self._clock = clock
        self._queue: deque[asyncio.Future[None]] = deque()
        self._decreased_at = float("-inf")
        self._mean_seconds: float | None = None
        self.running = 0

    @property
    def limit(self) -> int:
        """Calls that may run at once."""
        return max(1, int(self._limit))

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return len(self._queue)

    def predicted_wait(self) -> float:
        """Seconds that a call would wait now, by the recent pace; 0 while the pace is unknown."""
        ahead = self.running + self.waiting + 1 - self.limit
        if ahead <= 0 or self._mean_seconds is None:
            return 0.0
        return ahead * self._mean_seconds / self.limit

    def refusal(self) -> QueueFullError | None:
        """Return why a call would be refused now, or None."""
        wait = self.predicted_wait()
        if self.running + self.waiting < self.limit:
            return None
        if self.waiting < self._queue_length and wait <= self._queue_seconds * _CAUTION:
            return None
        return QueueFullError(max(wait - self._queue_seconds / 2, 1.0))

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """Hold a place, and adapt the limit to how the call inside went.

        Raises:
            QueueFullError: at once, or when `queue_seconds` have passed.
        """
        arrived = self._clock()
        await self._enter()
        entered = self._clock()
        try:
            yield Place(entered - arrived)
        except LlmUnavailableError:
            self._slow_down()
            raise
        else:
            self._learn(self._clock() - entered)
        finally:
            self.running -= 1
            self._admit()

    async def _enter(self) -> None:
        if self.running < self.limit and not self._queue:
            self.running += 1
            return
        if (refusal := self.refusal()) is not None:
            raise refusal
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self._queue_seconds):
                await turn
        except TimeoutError:
            self._leave(turn)
            raise QueueFullError(max(self.predicted_wait(), 1.0)) from None
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Give back a turn that was not granted, or was granted just as the caller gave up."""
        if turn in self._queue:
            self._queue.remove(turn)
        elif turn.done() and not turn.cancelled():
            self.running -= 1
            self._admit()

    def _admit(self) -> None:
        while self._queue and self.running < self.limit:
            turn = self._queue.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)

    def _learn(self, seconds: float) -> None:
        mean = self._mean_seconds
        self._mean_seconds = seconds if mean is None else mean + _PACE_MEMORY * (seconds - mean)
        if seconds > self._target:
            self._slow_down()
        elif self.running >= self.limit:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)

    def _slow_down(self) -> None:
        """Take a tenth, once per round: running calls were admitted by the old limit."""
        now = self._clock()
        if now - self._decreased_at >= (self._mean_seconds or 1.0):
            self._limit = max(1.0, self._limit * _DECREASE)
            self._decreased_at = now
