"""A circuit breaker for the language model: closed, open, half-open.

Closed: calls pass. After `failures` in a row it opens: calls are refused at once, so that callers wait for no
time limit and the model's server is not hammered while it starts. After a pause one call is let through
(half-open): if it succeeds the breaker closes, otherwise the pause doubles, up to 30 seconds. Only failures to
answer count. A server that says "too busy" with a Retry-After is alive, and admission control deals with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

_LONGEST_PAUSE = 30.0


class CircuitBreaker:
    """The breaker of one language model, in one process."""

    def __init__(self, failures: int, pause_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._first_pause = pause_seconds
        self._clock = clock
        self._failed = 0
        self._pause = pause_seconds
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """One of closed, open, half-open."""
        if self._opened_at is None:
            return "closed"
        return "half-open" if self._probing or self.seconds_left == 0 else "open"

    @property
    def seconds_left(self) -> float:
        """Seconds until a call is tried again."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._pause - self._clock())

    def allow(self) -> bool:
        """Whether a call may be made now; half-open lets one through."""
        if self._opened_at is None:
            return True
        if self._probing or self.seconds_left > 0:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Record an answer."""
        self._failed = 0
        self._pause = self._first_pause
        self._opened_at = None
        self._probing = False

    def failed(self) -> None:
        """Record that no answer came."""
        self._failed += 1
        if self._probing:
            self._pause = min(self._pause * 2, max(_LONGEST_PAUSE, self._first_pause))
        if self._probing or (self._opened_at is None and self._failed >= self._limit):
            self._opened_at = self._clock()
        self._probing = False

    def abandoned(self) -> None:
        """Record a call that ended without a verdict: its caller went away."""
        self._probing = False
