"""Locks between processes: the lease on a build, short exclusive sections, and holds on a release.

All are `flock` locks: the kernel releases them when their process dies, so no lock ever has to be taken over from a
dead holder. A forked child would keep its parent's lock alive, so it closes its copy at once. `flock` needs a local
file system, as does the whole data folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from warehouse.errors import BuildInProgressError

_POLL_SECONDS = 0.2
_held: set[int] = set()


def _close_in_child() -> None:
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


class Lease:
    """The right to build, held by one process at a time until `release` or its death."""

    def __init__(self, descriptor: int) -> None:
        """Own an open, locked file; call `acquire` instead."""
        self._descriptor = descriptor
        _held.add(descriptor)

    @classmethod
    def acquire(cls, path: Path, holder: str, wait_seconds: float = 0.0) -> Lease:
        """Take the lease, waiting up to `wait_seconds` for another holder.

        Raises:
            BuildInProgressError: another process holds it; the message says which, and since when.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _wait(descriptor, path, wait_seconds)
            _sign(descriptor, holder)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Release the lease; a second call does nothing."""
        if self._descriptor in _held:
            _held.discard(self._descriptor)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # a child being forked right now has a copy
            os.close(self._descriptor)


def _wait(descriptor: int, path: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            raise BuildInProgressError(_who(path))
        time.sleep(_POLL_SECONDS)


def _sign(descriptor: int, holder: str) -> None:
    note = {"holder": holder, "process": os.getpid(), "host": socket.gethostname()}
    note["since"] = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _who(path: Path) -> str:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        who = f"run {note['holder']} (process {note['process']} on {note['host']}, since {note['since']})"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return f"A build is in progress: {who} holds {path}; wait until it ends, or stop it and start again."


def try_lock(descriptor: int, kind: int) -> bool:
    """Try to lock an open file without waiting; return whether it worked."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file during the block; for sections of a few milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
