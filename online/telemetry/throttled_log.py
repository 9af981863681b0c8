"""A log that writes now and then about what may fail many times a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


class ThrottledLog:
    """Writes at most one line in `seconds`; the next one says how many were left out."""

    def __init__(self, log: logging.Logger, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._seconds = seconds
        self._clock = clock
        self._wrote_at: float | None = None
        self._left_out = 0

    def __call__(self, level: int, message: str, *values: object, fault: BaseException | None = None) -> None:
        """Write a line, or count it; the traceback of a `fault` goes with it."""
        now = self._clock()
        if self._wrote_at is not None and now - self._wrote_at < self._seconds:
            self._left_out += 1
            return
        more = f" ({self._left_out} such lines were left out before this one)" if self._left_out else ""
        self._log.log(level, f"{message}%s", *values, more, exc_info=fault)
        self._wrote_at, self._left_out = now, 0
