"""The journal as a session sees it: the compacted history, and the segments that are not in it yet.

Segments are read before the history, so that one that is compacted meanwhile is not missed; the day's file says then
that it contains them, and they are left out. A segment that a server is still writing is read up to its last whole
line, so that what was just asked is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs

from warehouse.history.day_notes import redaction_of, segments_in
from warehouse.history.journal_lines import JournalRow, read_record
from warehouse.history.redaction import Mode, redactor
from warehouse.objects.place import place_of
from warehouse.tables import JOURNAL

_HISTORY = pa.unify_schemas([JOURNAL, pa.schema([pa.field("day", pa.date32())])])
_LOCAL = pa.fs.LocalFileSystem()
_OPEN = ".open"  # ends the name of a segment that a server is still writing
_MAPPED_DAYS = 60  # at each end of the history; each costs a file descriptor

Days = Mapping[date, pa.dataset.Fragment]
Waiting = Mapping[date, Sequence[tuple[str, JournalRow]]]  # rows with the names of their segments


def journal_dataset(data: Path, redaction: Mode | None = None) -> pa.dataset.Dataset:
    """Return the history and the segments that are not in it yet, with the journal's columns and the day.

    `redaction` says what happens to the texts of those segments: by default what happened to those of the newest day
    in the history, and without a history they are left out.
    """
    # what a mirror's own server has not sent yet is sent, and compacted, before a command opens a session
    waiting = {} if place_of(data) else _waiting(data / "journal")
    days = _days(data)
    history = _dataset(days)
    if not waiting:
        return history
    last = _schema(days[max(days)]) if days else pa.schema([])
    rows = list(_fresh(waiting, days, redaction or redaction_of(last) or "drop"))
    return pa.dataset.UnionDataset(
        _HISTORY, [history, pa.dataset.InMemoryDataset(pa.Table.from_pylist(rows, schema=_HISTORY))]
    )


def history_dataset(data: Path) -> pa.dataset.Dataset:
    """Return the Parquet history with the journal's columns and the day; empty if there is none."""
    return _dataset(_days(data))


def _dataset(days: Days) -> pa.dataset.Dataset:
    return pa.dataset.FileSystemDataset(list(days.values()), _HISTORY, pa.dataset.ParquetFileFormat(), _LOCAL)


def _days(data: Path) -> Days:
    """Return the files of the history by their day, the oldest first.

    Compaction replaces the newest files and deletes the oldest. Both are mapped now, since a file replaced later would
    be read with the old one's offsets.
    """
    files = sorted((data / "history").glob("day=*/*.parquet"))
    between = range(_MAPPED_DAYS, len(files) - _MAPPED_DAYS)
    form = pa.dataset.ParquetFileFormat()
    return {_day(path): _fragment(form, path, mapped=number not in between) for number, path in enumerate(files)}


def _fragment(form: pa.dataset.ParquetFileFormat, path: Path, *, mapped: bool) -> pa.dataset.Fragment:
    return form.make_fragment(
        pa.memory_map(str(path)) if mapped else str(path),
        filesystem=None if mapped else _LOCAL,
        partition_expression=pa.dataset.field("day") == pa.scalar(_day(path), pa.date32()),
    )


def _day(path: Path) -> date:
    return date.fromisoformat(path.parent.name.removeprefix("day="))


def _waiting(journal: Path) -> Waiting:
    """Return the rows of all segments by their day."""
    found: dict[date, list[tuple[str, JournalRow]]] = defaultdict(list)
    for segment in sorted((*journal.glob("*.jsonl"), *journal.glob(f"*.jsonl{_OPEN}"))):
        for line in _lines(segment):
            row = read_record(line)
            if row is not None:
                found[row["at"].date()].append((segment.name.removesuffix(_OPEN), row))
    return found


def _lines(segment: Path) -> Iterator[bytes]:
    """Yield the lines of a segment, which may be closed or compacted meanwhile."""
    for path in (segment, segment.with_name(segment.name.removesuffix(_OPEN))):
        with suppress(FileNotFoundError):
            yield from path.read_bytes().splitlines()
            return


def _schema(day: pa.dataset.Fragment) -> pa.Schema:
    """Return what a day's file says of itself; nothing if it is torn, which only the queries that read it notice."""
    try:
        return day.physical_schema
    except (pa.ArrowException, OSError):
        return pa.schema([])


def _fresh(waiting: Waiting, days: Days, redaction: Mode) -> Iterator[JournalRow]:
    treat = redactor(redaction)
    for day, rows in waiting.items():
        contained = segments_in(_schema(days[day])) if day in days else set()
        for segment, row in rows:
            if segment not in contained:
                treat(row)
                yield {**row, "day": day}
