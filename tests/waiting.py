"""Waits for what another thread or process does: with a bound, and a message that says what never came."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0  # seconds; only a broken test waits so long, however busy the machine is


def until(
    what: str,
    look: Callable[[], T],
    enough: Callable[[T], object] = bool,
    *,
    process: subprocess.Popen[bytes] | subprocess.Popen[str] | None = None,
    patience: float = PATIENCE,
    pause: float = 0.005,
) -> T:
    """Look until there is `enough`, and return it; give up early when the process that it would come from has ended.

    `what` says what is waited for, as a statement that then holds: "the model was asked".
    """
    deadline = time.monotonic() + patience
    while not enough(found := look()):
        assert process is None or process.poll() is None, f"ended before {what}; last seen: {found!r}"
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}; last seen: {found!r}"
        time.sleep(pause)
    return found
