"""Child processes that never outlive their parent, however that ends.

A child that is started with `-m` watches its parent from a thread of its own: it works where the parent has
threads (a hook between fork and exec would not be safe there) and takes the child's whole process group along, if
the child leads one: another's holds whoever started us.
"""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT = "BEFOREHAND_PARENT"
"""The variable in which a process names itself to a command that is to end with it."""


def die_with_named_parent() -> None:
    """Die with the parent that the environment names, if any; what this process starts is told of none."""
    if parent := os.environ.pop(PARENT, ""):
        die_with(int(parent))


def die_with(parent: int) -> None:
    """Kill this process and its group as soon as the parent is gone; returns at once."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    (os.killpg if os.getpgrp() == os.getpid() else os.kill)(os.getpid(), signal.SIGKILL)
