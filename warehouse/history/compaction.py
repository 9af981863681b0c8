"""Compacts journal segments into the history: one Parquet file a day, each record exactly once.

`history/day=2026-11-20/history.parquet` is replaced atomically, and its metadata names the segments it contains. One
rename thus brings both the records and the note that they are in: a crash before it changes nothing, and after a crash
before the segment is deleted, the note prevents a second copy. The price is rewriting today's file at each compaction:
some 200 MB, or seconds, for a million requests a day.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet

from warehouse.durable import remove_tree, storage_errors, sync
from warehouse.errors import QueryError, StorageError
from warehouse.history.day_notes import notes_of, segments_in
from warehouse.history.journal_lines import JournalRow, read_record
from warehouse.history.redaction import Mode, redactor
from warehouse.lease import exclusive
from warehouse.settings import HistorySettings
from warehouse.tables import JOURNAL

_FILE = "history.parquet"
_GROUP_BYTES = 64 * 2**20  # size of the segments held in memory at once
_BATCH = 50_000

ByDay = Mapping[date, list[tuple[str, JournalRow]]]


@dataclass(frozen=True)
class Compacted:
    """The counts of a compaction: segments and records moved, torn lines, days deleted."""

    segments: int
    records: int
    torn: int
    expired_days: int


def compact(data: Path, settings: HistorySettings, today: date | None = None, journal: Path | None = None) -> Compacted:
    """Move finished journal segments into the history, and delete days past their retention.

    If there are neither, nothing is written, so a read-only user can call it. `journal` holds the segments, by default
    the data folder's own.

    Raises:
        StorageError: the disk is full, or a day's file is torn; nothing is lost, and it can be called again.
    """
    history, journal = data / "history", journal or data / "journal"
    oldest = _oldest_day(settings, today or datetime.now(UTC).date())
    segments = records = torn = 0
    if not any(journal.glob("*.jsonl")) and not _expired(history, oldest):
        return Compacted(segments, records, torn, 0)
    with storage_errors(history, "write the history"), exclusive(history / ".lock"):
        for leftover in history.glob("day=*/.*.tmp"):
            leftover.unlink()
        for group in _groups(sorted(journal.glob("*.jsonl"))):
            by_day, unreadable = _read_group(group, settings)
            written = _write_days(history, journal, by_day, oldest, settings.redaction)
            for segment in group:
                segment.unlink()
            sync(journal)
            segments, records, torn = segments + len(group), records + written, torn + unreadable
        expired = _expire(history, oldest)
    return Compacted(segments, records, torn, expired)


def _groups(segments: Sequence[Path]) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = 0
    for segment in segments:
        group.append(segment)
        size += segment.stat().st_size
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _read_group(group: Sequence[Path], settings: HistorySettings) -> tuple[ByDay, int]:
    by_day: dict[date, list[tuple[str, JournalRow]]] = defaultdict(list)
    torn = 0
    treat = redactor(settings.redaction)
    for segment in group:
        with segment.open("rb") as lines:
            for line in lines:
                record = read_record(line)
                if record is None:
                    torn += bool(line.strip())
                    continue
                treat(record)
                by_day[record["at"].date()].append((segment.name, record))
    return by_day, torn


def _write_days(history: Path, journal: Path, by_day: ByDay, oldest: date | None, redaction: Mode) -> int:
    """Add each day's records to its file; return how many were new."""
    waiting = {path.name for path in journal.glob("*.jsonl")}
    written = 0
    for day, rows in sorted(by_day.items()):
        if oldest is not None and day < oldest:
            continue
        folder = history / f"day={day}"
        known = _segments_in(folder / _FILE)
        fresh = [record for segment, record in rows if segment not in known]
        if fresh:
            names = (known & waiting) | {segment for segment, _ in rows}
            notes = notes_of(names, redaction)
            _rewrite(folder, sorted(fresh, key=lambda record: record["at"]), notes)
        written += len(fresh)
    return written


def _segments_in(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with _named(path):
        return segments_in(pa.parquet.read_schema(path))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn a read error into one sentence that names the day's file."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = "".join(filter(str.isprintable, re.split(r"\.\s|\n", str(error))[0])).rstrip(".: ")
        raise StorageError(
            f"{path} can't be read as a day of the history ({reason}); put back a copy of it or move it away."
        ) from error


@contextmanager
def naming_torn_days(data: Path) -> Iterator[None]:
    """When a query fails on a torn file of the history, name that file, since DuckDB can't.

    Only queries that read the torn day fail. All days are read to find it.

    Raises:
        StorageError: a file is torn, or is not in a day's folder, which would break every session.
    """
    for path in (data / "history").glob("day=*/*.parquet"):
        if _day(path.parent) is None or not path.is_file():
            raise StorageError(f"{path} is no file of a day (history/day=2026-11-20/{_FILE}); move it out of history.")
    try:
        yield
    except (duckdb.Error, QueryError) as error:
        if "journal_files" in str(error):  # the history's name in a session
            _read_through(data / "history")
        raise


def _read_through(history: Path) -> None:
    for path in sorted(history.glob("day=*/*.parquet")):
        for _ in _batches_of(path, JOURNAL):
            pass


def _rewrite(folder: Path, fresh: Sequence[JournalRow], notes: Mapping[bytes, bytes]) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
        sync(folder.parent)
    path, temporary = folder / _FILE, folder / f".{_FILE}.tmp"
    schema = JOURNAL.with_metadata(dict(notes))
    with pa.parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for table in _batches_of(path, schema):
            writer.write_table(table)
        for start in range(0, len(fresh), _BATCH):
            writer.write_table(pa.Table.from_pylist(fresh[start : start + _BATCH], schema=schema))
    sync(temporary)
    temporary.replace(path)
    sync(folder)


def _batches_of(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    if path.exists():
        with _named(path), pa.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                yield _conform(pa.Table.from_batches([batch]), schema)


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Convert rows written by an older version to today's columns."""
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _oldest_day(settings: HistorySettings, today: date) -> date | None:
    return None if settings.retention_days is None else today - timedelta(days=settings.retention_days)


def _expire(history: Path, oldest: date | None) -> int:
    expired = _expired(history, oldest)
    for folder in expired:
        remove_tree(folder)
    return len(expired)


def _expired(history: Path, oldest: date | None) -> list[Path]:
    return [
        folder
        for folder in history.glob("day=*")
        if oldest is not None and (day := _day(folder)) is not None and day < oldest
    ]


def _day(folder: Path) -> date | None:
    """Return the day of a folder; None for a foreign folder, which is left alone."""
    try:
        return date.fromisoformat(folder.name.removeprefix("day="))
    except ValueError:
        return None
