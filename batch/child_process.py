"""Child processes that never outlive their parent, however that ends.

A child that is started with `-m` watches its parent from a thread of its own: it works where the parent has
threads (a hook between fork and exec would not be safe there) and takes the child's whole process group along.
"""

from __future__ import annotations

import os
import signal
import threading
import time


def die_with(parent: int) -> None:
    """Kill this process and its group as soon as the parent is gone; returns at once."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)
