"""Opens a SQLite file that worker processes share, with a write-ahead log: readers never wait for a writer."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

_BUSY_SECONDS = 5.0  # what waits for the file holds up the thread that all statements of a store share
_RETRY_SECONDS = 0.01


def open_shared(path: Path) -> sqlite3.Connection:
    """Open a file, or make it; the connection commits each statement and may be closed by another thread.

    Raises:
        sqlite3.Error: the file can't be opened, or stays locked for five seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    _log_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the log; SQLite doesn't wait for the lock here, so processes that start together would fail."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return
