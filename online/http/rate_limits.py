"""Rate limits of keys: token buckets, exact over all worker processes.

A bucket is one number, the moment at which it will be full again; taking a token moves it by the time that a token
needs to come back (the generic cell rate algorithm). In whole nanoseconds of the machine's monotonic clock that is
exact, and sharing a bucket means sharing eight bytes of a memory-mapped file.

A process locks the file while it takes a token (2 µs; a single process needs no lock and takes 0.6). The kernel
releases the lock when its holder dies, so a killed worker blocks nobody and leaves the old number or the new one. A
worker that hangs with the lock delays the others until the parent ends it, after half a minute of silence.
"""

from __future__ import annotations

import array
import fcntl
import math
import mmap
import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_MINUTE = 60_000_000_000  # nanoseconds
_BYTES = 8
_FILE = "rate-limits"
_ANONYMOUS_FILE = "anonymous-rate-limits"
_SLOTS = 4096


@dataclass(frozen=True)
class Moments:
    """When each of several buckets will be full again (0 is long ago), and the file to lock for it."""

    at: array.array[int] | memoryview[int]
    file: int | None = None

    @classmethod
    def own(cls, buckets: int) -> Moments:
        """Return the moments of a single process."""
        return cls(array.array("q", bytes(_BYTES * buckets)))

    @classmethod
    def shared(cls, buckets: int, path: Path) -> Moments:
        """Return the moments that all processes share that open this file; the first one makes it."""
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.truncate(file, _BYTES * buckets)
        return cls(memoryview(mmap.mmap(file, _BYTES * buckets)).cast("q"), file)


class Bucket:
    """A token bucket of `per_minute` requests."""

    def __init__(
        self,
        per_minute: int,
        moments: Moments | None = None,
        number: int = 0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.capacity = per_minute
        self._token = max(1, _MINUTE // per_minute)
        self._moments = moments or Moments.own(1)
        self._number = number
        self._clock = clock

    def take(self) -> bool:
        """Take one token, if there is one."""
        file = self._moments.file
        if file is None:
            return self._take()
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            return self._take()
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _take(self) -> bool:
        at, now = self._moments.at, self._clock()
        full_at = max(at[self._number], now) + self._token
        if full_at - now > self.capacity * self._token:
            return False
        at[self._number] = full_at
        return True

    def _missing(self) -> int:
        return max(0, self._moments.at[self._number] - self._clock())

    @property
    def remaining(self) -> int:
        """Requests that are left."""
        return self.capacity - -(-self._missing() // self._token)

    @property
    def seconds_to_next(self) -> float:
        """Seconds until the next request is granted."""
        return max(0, self._missing() - (self.capacity - 1) * self._token) / 1e9

    @property
    def seconds_to_full(self) -> float:
        """Seconds until the bucket is full."""
        return self._missing() / 1e9

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return OpenAI's rate limit headers."""
        return [
            (b"x-ratelimit-limit-requests", b"%d" % self.capacity),
            (b"x-ratelimit-remaining-requests", b"%d" % self.remaining),
            (b"x-ratelimit-reset-requests", b"%ds" % math.ceil(self.seconds_to_full)),
        ]


def buckets(per_minute: Mapping[str, int], folder: Path | None) -> dict[str, Bucket]:
    """Return a bucket for each name; processes with the same `folder` and the same names share them."""
    if not per_minute:
        return {}
    several = len(per_minute)
    moments = Moments.own(several) if folder is None else Moments.shared(several, folder / _FILE)
    return {name: Bucket(limit, moments, number) for number, (name, limit) in enumerate(per_minute.items())}


class AnonymousBuckets:
    """Buckets for callers without a key, by the hash that names them; two in 4,096 may have to share one."""

    def __init__(self, per_minute: int, folder: Path | None) -> None:
        """Make the buckets; processes with the same `folder` share them."""
        self._per_minute = per_minute
        self._moments = Moments.own(_SLOTS) if folder is None else Moments.shared(_SLOTS, folder / _ANONYMOUS_FILE)

    def of(self, asker: str) -> Bucket:
        """Return the bucket of a caller."""
        return Bucket(self._per_minute, self._moments, zlib.crc32(asker.encode()) % _SLOTS)
