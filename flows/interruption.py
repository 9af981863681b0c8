"""Ctrl-C and SIGTERM during a build: end cleanly if that is quick, and within seconds in any case.

Beam waits for its worker threads, which can take minutes. Not waiting loses little: what is finished is on disk, and a
build that ends at any moment leaves the current release unchanged.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

_PATIENCE = 3.0  # seconds


@contextmanager
def ending_soon(last: Callable[[], None]) -> Iterator[None]:
    """Let a signal interrupt the block, and end the process soon after if the block does not, with `last` before it.

    Enter it inside a flow, since Prefect installs its own handlers around one. It does nothing outside the main
    thread, the only one that may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupt = partial(_interrupt, last)
    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _interrupt(last: Callable[[], None], number: int, _frame: object) -> None:
    timer = threading.Timer(_PATIENCE, _leave, [number, last])
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _leave(number: int, last: Callable[[], None]) -> None:
    with contextlib.suppress(Exception):
        last()
    sys.stderr.write("beforehand: interrupted; finished work is kept, and the next run continues from there\n")
    sys.stderr.flush()
    os._exit(128 + number)
