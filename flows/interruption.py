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
_told = threading.Event()  # that a signal has come


@contextmanager
def ending_soon(last: Callable[[], None]) -> Iterator[None]:
    """Let a signal interrupt the block, and end the process soon after if the block does not, with `last` before it.

    Enter it inside a flow, since Prefect installs its own handlers around one. It does nothing outside the main
    thread, the only one that may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _told.clear()
    interrupt = partial(_interrupt, last)
    hook, sys.unraisablehook = sys.unraisablehook, _unraisable
    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        sys.unraisablehook = hook


@contextmanager
def interruptions() -> Iterator[None]:
    """Raise what a block raises after a signal as an interruption: DuckDB, for one, makes another error of it."""
    try:
        yield
    except Exception:
        if _told.is_set():
            raise KeyboardInterrupt from None
        raise


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    """Tell of an error that nobody can catch, unless it is the signal: the timer ends the process all the same."""
    if found.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(found)


def _interrupt(last: Callable[[], None], number: int, _frame: object) -> None:
    _told.set()
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
