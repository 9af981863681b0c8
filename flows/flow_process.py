"""The processes of scheduled flows: they end with the schedule, which waits for them to clean up.

Prefect's runner would kill them. Each process holds a lock on a note with its id, so the schedule knows which are
there; the kernel drops the lock of one that died.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch.child_process import PARENT, die_with_named_parent
from warehouse.errors import BuildInProgressError
from warehouse.lease import Lease

_NOTES = "_BEFOREHAND_FLOW_PROCESSES"
_PATIENCE = 25.0  # seconds; a build has 20 of them
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def live_with_schedule() -> None:
    """End when the schedule that started this process is gone, and let it wait for this one; else do nothing."""
    die_with_named_parent()
    if folder := os.environ.pop(_NOTES, ""):
        Lease.acquire(Path(folder) / str(os.getpid()), "a scheduled flow")  # until the process ends


@contextmanager
def awaited_processes(folder: Path) -> Iterator[Callable[[], None]]:
    """Let the flows that are started in the block know whom they belong to; yield what ends them and waits for that."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {PARENT: str(os.getpid()), _NOTES: str(folder)}
    try:
        yield lambda: _end(sorted(folder.iterdir()))
    finally:
        for name in (PARENT, _NOTES):
            os.environ.pop(name, None)


def _end(notes: list[Path]) -> None:
    deadline = time.monotonic() + _PATIENCE
    for note in notes:
        if _is_held(note, 0.0):
            with suppress(ProcessLookupError):
                os.kill(int(note.name), signal.SIGTERM)
    for note in notes:
        if _is_held(note, max(0.0, deadline - time.monotonic())):
            with suppress(ProcessLookupError):
                os.kill(int(note.name), signal.SIGKILL)
        note.unlink(missing_ok=True)


def _is_held(note: Path, seconds: float) -> bool:
    try:
        Lease.acquire(note, "the schedule", seconds).release()
    except BuildInProgressError:
        return True
    return False


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore further signals to end during the block, which already ends: Ctrl-C reaches a process twice."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
