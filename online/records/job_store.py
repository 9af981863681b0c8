"""Asynchronous questions on disk: one SQLite file that the worker processes share.

All statements run on one thread with one connection (write-ahead log, so that readers never wait). SQLite and
not memory, since a job has to survive a restart; not the journal, since a job changes.
"""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from online.records.shared_file import open_shared
from online.records.statements import read_statements

Row = tuple[Any, ...]
T = TypeVar("T")

_LEASE_SECONDS = 10.0


@dataclass(frozen=True)
class StoredJob:
    """An asynchronous question. `asked` is JSON; `outcome` is the body of the answer or of the problem.

    `attempts` counts the calls of the language model that gave it no answer.
    """

    id: str
    asked: bytes
    key_id: str | None
    status: Literal["queued", "running", "done", "failed"]
    http_status: int | None
    outcome: bytes | None
    attempts: int = 0

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self.status in {"done", "failed"}


class JobStore:
    """The jobs of a data folder, as one worker process sees them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._statements = read_statements("jobs.sql")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobs")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file; make it if there is none."""
        await self._on_thread(self._connect)

    def _connect(self) -> None:
        connection = open_shared(self._path)
        if not self._is_complete(connection):
            with connection:
                connection.execute("BEGIN IMMEDIATE")  # the worker processes start at the same time
                connection.execute(self._statements["create"])
                if not self._is_complete(connection):
                    connection.execute(self._statements["add_attempts"])  # an earlier version made the file
                connection.execute(self._statements["index"])
        self._connection = connection

    def _is_complete(self, connection: sqlite3.Connection) -> bool:
        return ("attempts",) in connection.execute(self._statements["columns"]).fetchall()

    async def close(self) -> None:
        """Put back what this worker was running, for the next start, and close the file."""
        assert self._connection is not None
        try:
            await self._run("release", owner=self._owner)
        finally:
            await self._on_thread(self._connection.close)
            self._thread.shutdown()

    async def open_jobs(self) -> int:
        """Count the jobs that wait or run."""
        return int((await self._run("open_jobs"))[0][0])

    async def insert(self, asked: bytes, key_id: str | None) -> StoredJob:
        """Add a job; its id can't be guessed."""
        job = StoredJob(secrets.token_urlsafe(16), asked, key_id, "queued", None, None)
        await self._run("insert", id=job.id, asked=asked.decode(), key_id=key_id, now=time.time())
        return job

    async def find(self, job_id: str) -> StoredJob | None:
        """Return a job."""
        rows = await self._run("find", id=job_id)
        return _job(rows[0]) if rows else None

    async def claim(self) -> StoredJob | None:
        """Take the job that has been due for longest, or whose owner has died."""
        now = time.time()
        rows = await self._run("claim", owner=self._owner, lease=now + _LEASE_SECONDS, now=now)
        return _job(rows[0]) if rows else None

    async def renew(self) -> None:
        """Renew the leases of what this worker is running."""
        await self._run("renew", owner=self._owner, lease=time.time() + _LEASE_SECONDS)

    async def postpone(self, job: StoredJob, seconds: float, *, failed: bool = False) -> None:
        """Put a job back, to be tried again later; `failed` counts an attempt."""
        due = time.time() + seconds
        await self._run("postpone", id=job.id, owner=self._owner, not_before=due, failed=int(failed))

    async def finish(self, job: StoredJob, http_status: int, outcome: bytes) -> None:
        """Store the outcome of a job."""
        status = "done" if http_status < 400 else "failed"
        await self._run("finish", id=job.id, owner=self._owner, status=status, http_status=http_status, outcome=outcome)

    async def answer_again(self, job: StoredJob) -> None:
        """Put back a job whose answer must not be shown any more."""
        await self._run("answer_again", id=job.id, now=time.time())

    async def expire(self, hours: float) -> None:
        """Delete the jobs that are older than `hours`."""
        await self._run("expire", before=time.time() - hours * 3600)

    async def _run(self, statement: str, **values: object) -> list[Row]:
        return await self._on_thread(functools.partial(self._execute, statement, values))

    def _execute(self, statement: str, values: dict[str, object]) -> list[Row]:
        assert self._connection is not None
        return self._connection.execute(self._statements[statement], values).fetchall()

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _job(row: Row) -> StoredJob:
    job_id, asked, key_id, status, http_status, outcome, attempts = row
    return StoredJob(job_id, asked.encode(), key_id, status, http_status, outcome, attempts)
