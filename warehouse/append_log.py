"""Append-only files of JSON lines: withdrawals, tombstones, reviews, labelled pairs and comparisons.

Many processes may append: each takes a lock, ends a line that a crash left torn, writes and syncs. Readers take no
lock and skip torn lines. `Follower` rereads the file when `stat` shows a change; `Tail`, for files that grow all the
time, reads only what is new.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from warehouse.durable import storage_errors, sync

Record = dict[str, Any]  # as JSON gives it
_AT_ONCE = 1_000_000  # bytes that a tail reads at once: about ten thousand records, 30 ms


def append(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Append records durably, in one write.

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
                file.truncate(before)  # a full disk may have taken part of the block
                raise
        if is_new:
            sync(path.parent)


def _end_of_torn_line(file: BinaryIO, size: int) -> bytes:
    if size == 0:
        return b""
    file.seek(size - 1)
    return b"" if file.read(1) == b"\n" else b"\n"


def read(path: Path) -> list[Record]:
    """Return the records in order; a torn line is skipped, and a missing file counts as empty."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [record for line in lines if (record := parse(line)) is not None]


def parse(line: bytes) -> Record | None:
    """Return the record of one line, or None if the line is torn."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # a line of nothing but brackets is nested too deeply
        return None
    return record if isinstance(record, dict) else None


def now() -> str:
    """Return the current time (UTC) as records hold it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Follower:
    """Follows a file that others append to or replace; checking for a change costs one `stat`."""

    def __init__(self, path: Path) -> None:
        """Follow `path`, which need not exist yet."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._records: list[Record] = []

    def changed(self) -> bool:
        """Whether the file has changed since `records` was last called."""
        return self._mark() != self._seen

    def records(self) -> list[Record]:
        """Return all records in the file now."""
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
    """Follows a file that only grows and returns each record once; costs one `stat` when nothing is new."""

    def __init__(self, path: Path) -> None:
        """Follow `path`, which need not exist yet."""
        self._path = path
        self._inode = 0
        self._offset = 0

    def new(self) -> tuple[list[Record], bool]:
        """Return the new records, about a megabyte at most, and whether the file was removed or replaced.

        All records of a replaced file are new.
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
