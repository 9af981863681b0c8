"""Ctrl-C and SIGTERM during a build: end cleanly if that is quick, and within seconds in any case.

Beam waits for its worker threads, and a batch in flight can take minutes. Not waiting loses nothing but that batch:
every finished one is on disk, and a build that ends at any moment leaves the current release unchanged.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 3.0  # seconds


@contextmanager
def ending_soon() -> Iterator[None]:
    """Let a signal interrupt the block, and end the process soon after if the block does not.

    Enter it inside a flow, since Prefect installs its own handlers around one. It does nothing outside the main
    thread, the only one that may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, _interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _interrupt(number: int, _frame: object) -> None:
    timer = threading.Timer(_PATIENCE, _leave, [number])
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _leave(number: int) -> None:
    sys.stderr.write("beforehand: interrupted; finished work is kept, and the next run continues from there\n")
    sys.stderr.flush()
    os._exit(128 + number)
