"""The semantic hits of the last day, on the disk: a report of a false hit counts only for one that really was.

One SQLite file that the worker processes share, so that a report may come to another worker, or after a restart. A
thread writes what has come in one transaction; no answer waits for it. So a report looks again for a second: the hit
may still be on its way to the disk in another worker. A hit that could not be written can't be reported.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

from online.records.shared_file import open_shared
from online.records.statements import read_statements
from online.telemetry.throttled_log import ThrottledLog

_DAY = 86_400.0
_PRUNE_SECONDS = 600.0
_MOST_WAITING = 10_000
_LOOKS_AFTER_SECONDS = (0.0, 0.05, 0.2, 0.75)

_log = logging.getLogger("beforehand.semantic")


@dataclass(frozen=True)
class SemanticHit:
    """A request that was answered with the answer to another question; `key_id` is empty without an API key."""

    request_id: str
    key_id: str
    collection: str
    asked_key: str
    matched_key: str


class SemanticHits:
    """The recent semantic hits of a data folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._statements: Mapping[str, str] = read_statements("semantic_hits.sql")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="semantic-hits")
        self._waiting: deque[tuple[float, SemanticHit]] = deque(maxlen=_MOST_WAITING)
        self._connection: sqlite3.Connection | None = None
        self._pruned = 0.0
        self._trouble = ThrottledLog(_log)

    def record(self, hit: SemanticHit) -> None:
        """Keep a hit for a day; never blocks."""
        self._waiting.append((time.time(), hit))
        self._thread.submit(self._write)

    async def report(self, hit: SemanticHit) -> bool:
        """Take a report of a hit; return whether there was such a hit within a day, not reported before."""
        loop = asyncio.get_running_loop()
        for seconds in _LOOKS_AFTER_SECONDS:
            await asyncio.sleep(seconds)
            if await loop.run_in_executor(self._thread, self._report, hit):
                return True
        return False

    async def close(self) -> None:
        """Write what is waiting and close the file."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            self._connection.close()

    def _write(self) -> None:
        hits = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not hits:
            return
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.executemany(self._statements["insert"], [(*astuple(hit), at) for at, hit in hits])
                if time.time() - self._pruned > _PRUNE_SECONDS:
                    self._pruned = time.time()
                    connection.execute(self._statements["prune"], [self._pruned - _DAY])
        except sqlite3.Error as error:
            self._waiting.extendleft(reversed(hits))
            self._trouble(logging.ERROR, "semantic hits can't be written (%s); they can't be reported as false", error)

    def _report(self, hit: SemanticHit) -> bool:
        self._write()
        try:
            found = self._open().execute(self._statements["report"], [*astuple(hit), time.time() - _DAY])
        except sqlite3.Error as error:
            self._trouble(logging.ERROR, "reports of false hits can't be taken (%s)", error)
            return False
        return found.rowcount == 1

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = open_shared(self._path)
            connection.execute(self._statements["create"])
            self._connection = connection
        return self._connection
