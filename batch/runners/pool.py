"""A pool of worker processes for Beam's runners, as a sidecar of a cluster's machine or beside a run on this one.

Beam's own pool starts whatever `python` is first on the path, anew for each stage. This one forks from a process that
has imported the batch, in milliseconds, and keeps a process whose work is done for the next stage, with the models
that it has loaded. A worker has no time limit; one whose runner asks to stop it is given a moment and then killed.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from batch.child_process import die_with
from batch.vllm.machine_engine import POOL_FOLDER, POOL_ID
from rag.errors import ConfigurationError

_STOP_SECONDS = 10.0


@dataclass
class _Worker:
    """A process, the pipe on which it is given work, and the id of the worker that it is now."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    worker_id: str = ""
    idle: threading.Event = field(default_factory=threading.Event)


def _work(pipe: Connection) -> None:
    from batch.runners.worker import work  # imported by the fork server

    work(pipe)


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Beam's protocol of an external worker pool."""

    def __init__(self) -> None:
        """Prepare the process from which workers are forked; it starts with the first of them."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["batch.runners.worker"])
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()

    def StartWorker(  # noqa: N802  # the name in Beam's protocol
        self, request: beam_fn_api_pb2.StartWorkerRequest, _context: object
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Have a free process, or a new one, work for a runner."""
        try:
            with self._lock:
                worker = self._free() or self._new()
                worker.worker_id = request.worker_id
                worker.idle.clear()
                worker.pipe.send((request.control_endpoint.url, request.worker_id))
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=f"the pool can't start a process: {error}")
        threading.Thread(target=self._follow, args=(worker,), daemon=True).start()
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(  # noqa: N802
        self, request: beam_fn_api_pb2.StopWorkerRequest, _context: object
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        """Wait until a worker has ended, which it does when its runner closes the connection, or kill it."""
        with self._lock:
            found = [each for each in self._workers if each.worker_id == request.worker_id]
        for worker in found:
            if not worker.idle.wait(_STOP_SECONDS) and worker.worker_id == request.worker_id:
                self._kill(worker)
        return beam_fn_api_pb2.StopWorkerResponse()

    def close(self) -> None:
        """Kill all processes."""
        with self._lock:
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()

    def _free(self) -> _Worker | None:
        return next((each for each in self._workers if each.idle.is_set() and each.process.is_alive()), None)

    def _new(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _follow(self, worker: _Worker) -> None:
        """Wait for the end of a piece of work, or of its process."""
        try:
            worker.pipe.recv()
        except (EOFError, OSError):
            self._kill(worker)
        worker.idle.set()

    def _kill(self, worker: _Worker) -> None:
        with self._lock:
            if worker in self._workers:
                self._workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.idle.set()


def serve_pool(host: str, port: int) -> tuple[grpc.Server, WorkerPool, int]:
    """Start a pool and return its server, itself, and its port; 0 takes a free one.

    Raises:
        ConfigurationError: the address can't be had.
    """
    pool = WorkerPool()
    server = grpc.server(ThreadPoolExecutor(thread_name_prefix="pool"), options=[("grpc.so_reuseport", 0)])
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        raise ConfigurationError(
            f"{host}:{port} can't be listened on: the port is taken, or the address is not of this machine; name "
            "another with --host or --port"
        ) from None
    server.start()
    return server, pool, bound


def run_pool(host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve a pool until SIGTERM, and kill its workers then; `ready` is told the port. Main thread only.

    Raises:
        ConfigurationError: the address can't be had.
        KeyboardInterrupt: SIGINT came; the workers are killed.
    """
    logging.basicConfig(level=logging.ERROR)
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")  # a worker that is killed leaks
    with private_folder():
        _serve_until_ended(host, port, ready)


@contextmanager
def private_folder() -> Iterator[None]:
    """Give the workers that are started in the block a folder of their own, in which they find what they share."""
    with tempfile.TemporaryDirectory(prefix="beforehand-pool-") as folder:
        os.environ[POOL_FOLDER] = folder
        Path(folder, POOL_ID).write_text(str(os.getpid()))
        try:
            yield
        finally:
            del os.environ[POOL_FOLDER]


def _serve_until_ended(host: str, port: int, ready: Callable[[int], None]) -> None:
    server, pool, bound = serve_pool(host, port)
    ended = threading.Event()
    came: list[int] = []

    def end(number: int, _frame: object) -> None:
        came.append(number)
        ended.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, end)
    ready(bound)
    ended.wait()
    server.stop(0)
    pool.close()
    if signal.SIGINT in came:
        raise KeyboardInterrupt


def _main() -> None:
    """Serve the pool of the process that has started this one, and end with it."""
    die_with(os.getppid())
    with suppress(KeyboardInterrupt):  # that process tells of it
        run_pool("127.0.0.1", 0, lambda port: print(port, flush=True))  # to that process


if __name__ == "__main__":
    _main()
