"""A worker process of the pool: works for one runner after the other.

The pool's fork server imports this module, and with it the batch, so that a forked process has everything at once.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
from multiprocessing.connection import Connection

import grpc

from batch.child_process import die_with

_WORK = (
    "apache_beam.runners.worker.sdk_worker",
    "batch.generation.generating",
    "batch.stages.anticipate",
    "batch.stages.cite",
    "batch.stages.prepare",
    "batch.stages.retrieve",
)


def work(pipe: Connection) -> None:
    """Work for each runner that the pool names on the pipe, until the pool is gone."""
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    die_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the pool ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        try:
            control, worker_id = pipe.recv()
        except EOFError:
            return
        try:
            SdkHarness(control, worker_id=worker_id).run()
        except grpc.RpcError:  # the runner is gone, and threads that still work for it must not go on
            os._exit(1)
        pipe.send("done")


def _prepare() -> None:
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger().handlers[0].setLevel(logging.ERROR)
    for name in _WORK:
        importlib.import_module(name)


_prepare()
