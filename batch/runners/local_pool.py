"""The worker processes of this process for the runner `multi_processing`: started once, kept between stages."""

from __future__ import annotations

import atexit
import subprocess
import sys
from functools import cache

from rag.errors import BeforehandError


class WorkersNotStartedError(BeforehandError):
    """The worker processes of this machine did not start."""


@cache
def local_pool() -> str:
    """Return the address of this process's pool, which ends with it, however that ends.

    Raises:
        WorkersNotStartedError: it did not start.
    """
    command = [sys.executable, "-m", "batch.runners.pool"]
    # a group of its own: Ctrl-C at a terminal is for the run, which ends its workers
    pool = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, process_group=0)
    atexit.register(pool.terminate)
    assert pool.stdout is not None
    port = pool.stdout.readline().strip()
    if not port:
        raise WorkersNotStartedError("the worker processes of this machine did not start; see what stands above")
    return f"127.0.0.1:{port}"
