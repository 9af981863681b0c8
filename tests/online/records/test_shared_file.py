"""Worker processes that start together can all open a file that they share."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from pathlib import Path

import pytest

from online.records.shared_file import open_shared


def write(path: Path, together: threading.Barrier) -> None:
    together.wait(60)
    connection = open_shared(path)
    connection.execute("CREATE TABLE IF NOT EXISTS rows (n INTEGER)")
    connection.execute("INSERT INTO rows VALUES (1)")
    connection.close()


def test_processes_that_open_a_new_file_at_once_all_write_to_it(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork")
    for file in range(20):
        path, together = tmp_path / f"{file}.sqlite3", forked.Barrier(3)
        processes = [forked.Process(target=write, args=(path, together)) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert open_shared(path).execute("SELECT count(*) FROM rows").fetchone() == (3,)


def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.sqlite3").write_text("These are notes, and not a database at all." * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        open_shared(tmp_path / "notes.sqlite3")
