"""The worker processes of this process for the runner `multi_processing`: started once, kept between stages."""

from __future__ import annotations

import atexit
import subprocess
import sys
import threading
from functools import cache

import grpc

from rag.errors import BeforehandError

_READERS = ("read_grpc_client_inputs", "beam_control_read")  # Beam's threads that read from worker processes


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
    silence_readers()
    assert pool.stdout is not None
    port = pool.stdout.readline().strip()
    if not port:
        raise WorkersNotStartedError("the worker processes of this machine did not start; see what stands above")
    return f"127.0.0.1:{port}"


def silence_readers() -> None:
    """Keep Beam from printing tracebacks where a worker process is gone: its stage fails, or is repeated."""
    usual = threading.excepthook

    def tell(failure: threading.ExceptHookArgs) -> None:
        named = failure.thread is not None and failure.thread.name in _READERS
        if not (named and issubclass(failure.exc_type, grpc.RpcError)):
            usual(failure)

    threading.excepthook = tell
