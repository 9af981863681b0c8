"""Append-only files of JSON lines: withdrawals, tombstones, reviews, labelled pairs and comparisons.

Many processes may append: each takes a lock, ends a line that a crash left torn, writes and syncs. Readers take no
lock, skip torn lines and read each line once, so that a poll costs what is new and not what is there: `Tail` returns
the new records, `Fold` keeps what follows from all of them, `Follower` keeps them all.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from warehouse.durable import storage_errors, sync
from warehouse.log_line import Record, parse
from warehouse.objects.outbox import put_aside

State = TypeVar("State")
_AT_ONCE = 1_000_000  # bytes that a tail reads at once: about ten thousand records, 30 ms
_REMEMBERED = 64  # bytes before the offset, by which a tail notices that the file was rewritten in place


def append(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Append records durably, in one write; those of a mirror go to its store's log as well.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    block = b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
    with storage_errors(path.parent, f"write {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("a+b", buffering=0) as file:  # a buffer would write again, in part, when it is closed
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.seek(0, os.SEEK_END)
            aside = put_aside(path, block)
            try:
                _write_all(file, _end_of_torn_line(file, before) + block)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)  # a full disk may have taken part of the block
                if aside is not None:
                    aside.unlink()
                raise
        if is_new:
            sync(path.parent)


def _write_all(file: FileIO, block: bytes) -> None:
    written = 0
    while written < len(block):  # a nearly full disk takes a part first
        written += file.write(block[written:])


def _end_of_torn_line(file: FileIO, size: int) -> bytes:
    if size == 0:
        return b""
    file.seek(size - 1)
    return b"" if file.read(1) == b"\n" else b"\n"


def now() -> str:
    """Return the current time (UTC) as records hold it, to the microsecond: two of one second keep their order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Tail:
    """Follows a file that only grows and returns each record once; costs one `stat` when nothing is new."""

    def __init__(self, path: Path) -> None:
        """Follow `path`, which need not exist yet."""
        self._path = path
        self._inode = 0
        self._last = b""
        self.offset = 0

    def new(self) -> tuple[list[Record], bool]:
        """Return the new records, about a megabyte at most, and whether the file was removed, replaced or rewritten.

        All records of such a file are new.
        """
        inode, size = self._stat()
        afresh = inode != self._inode or size < self.offset
        if afresh:
            self._restart(inode)
        if size == self.offset:
            return [], afresh
        with self._path.open("rb") as file:
            if not afresh and not self._goes_on(file):
                afresh = True
                self._restart(inode)
            file.seek(self.offset)
            block = file.read(_AT_ONCE)
        whole = block[: block.rfind(b"\n") + 1]  # the rest is being written, or torn
        self.offset += len(whole)
        self._last = (self._last + whole)[-_REMEMBERED:]
        return [record for line in whole.splitlines() if (record := parse(line)) is not None], afresh

    def _restart(self, inode: int) -> None:
        self._inode, self.offset, self._last = inode, 0, b""

    def _goes_on(self, file: BinaryIO) -> bool:
        """Whether the file still holds what was read last before the offset."""
        file.seek(self.offset - len(self._last))
        return file.read(len(self._last)) == self._last

    def _stat(self) -> tuple[int, int]:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - half the cost of Path.stat, and polled
        except FileNotFoundError:
            return (0, 0)
        return (stat.st_ino, stat.st_size)


class Fold(Generic[State]):
    """Follows a file and keeps a state to which `take` adds each record, once and in order.

    `follow` may run in a thread: others see the state before or after a record. When the file was replaced, they see
    the old state until the new one is complete.
    """

    def __init__(self, path: Path, empty: Callable[[], State], take: Callable[[State, Record], object]) -> None:
        """Follow `path`, which need not exist yet; nothing is read before `follow`."""
        self._tail = Tail(path)
        self._empty = empty
        self._take = take
        self._lock = threading.Lock()
        self.state = empty()

    def follow(self) -> bool:
        """Take what is new; return whether there was anything."""
        with self._lock:
            return self._follow()

    def _follow(self) -> bool:
        state, news = self.state, False
        while True:
            before = self._tail.offset
            records, afresh = self._tail.new()
            if afresh:
                state = self._empty()
            for record in records:
                self._take(state, record)
            if not afresh and self._tail.offset == before:
                break
            news = True
        self.state = state
        return news


class Follower:
    """Keeps all records of a file that others append to or replace; checking for a change costs one `stat`."""

    def __init__(self, path: Path) -> None:
        """Follow `path`, which need not exist yet."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._log: Fold[list[Record]] = Fold(path, list, list.append)

    def changed(self) -> bool:
        """Whether the file has changed since `records` was last called."""
        return self._mark() != self._seen

    def records(self) -> list[Record]:
        """Return all records in the file now."""
        self._seen = self._mark()
        self._log.follow()
        return self._log.state

    def _mark(self) -> tuple[int, int, int]:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - half the cost of Path.stat, and polled
        except FileNotFoundError:
            return (0, 0, 0)
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns)
