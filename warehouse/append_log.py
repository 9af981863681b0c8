"""Append-only files of JSON lines: withdrawals, tombstones, reviews, labelled pairs and comparisons.

Many processes may append: each takes a lock, ends a line that a crash left torn, writes and syncs. Readers
take no lock and skip what is not a whole record; `Follower` reads again only when `stat` says so, and `Tail`, for
files that grow all the time, only what is new.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warehouse.durable import storage_errors, sync

Record = dict[str, Any]
_AT_ONCE = 1_000_000  # bytes that a tail reads at once: some ten thousand records, 30 ms


def append(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append records durably, all in one write.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    block = b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
    with storage_errors(path.parent, f"write {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.seek(0, os.SEEK_END)
            try:
                file.write(_end_of_torn_line(file, before) + block)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)  # a full disk takes a part of a block
                raise
        if is_new:
            sync(path.parent)


def _end_of_torn_line(file: Any, size: int) -> bytes:
    if size == 0:
        return b""
    file.seek(size - 1)
    return b"" if file.read(1) == b"\n" else b"\n"


def read(path: Path) -> list[Record]:
    """Return the records in their order; a torn line is skipped, a missing file is empty."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [record for line in lines if (record := parse(line)) is not None]


def parse(line: bytes) -> Record | None:
    """Return the record of one line, or None if it is not a whole one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # a line of nothing but brackets is nested too deeply
        return None
    return record if isinstance(record, dict) else None


def now() -> str:
    """Return the time as records have it (UTC)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Follower:
    """Follows a file that others append to or replace; asking whether it changed costs one `stat`."""

    def __init__(self, path: Path) -> None:
        """Follow `path`, which need not exist yet."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._records: list[Record] = []

    def changed(self) -> bool:
        """Return whether there is something to read that `records` has not returned yet."""
        return self._mark() != self._seen

    def records(self) -> list[Record]:
        """Return all records as they are now."""
        mark = self._mark()
        if mark != self._seen:
            self._records = read(self._path)
            self._seen = mark
        return self._records

    def _mark(self) -> tuple[int, int, int]:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - half the cost of Path.stat, and polled
        except FileNotFoundError:
            return (0, 0, 0)
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns)


class Tail:
    """Follows a file that only grows, and gives each record once; when nothing is new, that costs one `stat`."""

    def __init__(self, path: Path) -> None:
        """Follow `path`, which need not exist yet."""
        self._path = path
        self._inode = 0
        self._offset = 0

    def new(self) -> tuple[list[Record], bool]:
        """Return what is new, about a megabyte at most, and whether the file is another than it was.

        Where it is, because it was removed or put in the place of the old one, all its records are new.
        """
        inode, size = self._stat()
        afresh = inode != self._inode or size < self._offset
        if afresh:
            self._inode, self._offset = inode, 0
        if size == self._offset:
            return [], afresh
        with self._path.open("rb") as file:
            file.seek(self._offset)
            block = file.read(_AT_ONCE)
        whole = block[: block.rfind(b"\n") + 1]  # the rest is being written, or torn
        self._offset += len(whole)
        return [record for line in whole.splitlines() if (record := parse(line)) is not None], afresh

    def _stat(self) -> tuple[int, int]:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - half the cost of Path.stat, and polled
        except FileNotFoundError:
            return (0, 0)
        return (stat.st_ino, stat.st_size)
