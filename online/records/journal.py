"""The journal: one JSON line a request, written by a thread so that no answer waits for the disk.

A request appends to a list (well under 1 µs); every 0.2 s the thread encodes the new rows and hands them to the kernel
in one write. So SIGKILL costs at most the last 0.2 s, a power cut what the kernel held back, and SIGTERM nothing. A
segment is closed after `_SEGMENT_SECONDS` or `_SEGMENT_BYTES`; until then its name ends in `.open`, so that compaction
takes only finished ones. The next start closes what a crash left open.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from rag.filters import Filters

_FLUSH_SECONDS = 0.2
_SEGMENT_SECONDS = 60.0
_SEGMENT_BYTES = 64 * 2**20
_MOST_WAITING = 100_000  # about 100 MB; only with a disk that hangs

_REMEMBERED = 10_000  # requests of this process; the views of the warehouse find the others

_log = logging.getLogger("beforehand.journal")


class JournalRow(msgspec.Struct, omit_defaults=True):
    """A row of the journal. The columns are those of `warehouse.tables.JOURNAL`."""

    kind: str
    request_id: str
    at: datetime.datetime
    collection: str | None = None
    route: str | None = None
    question: str | None = None
    query_key: str | None = None
    source: str | None = None
    cache_status: str | None = None
    confidence: float | None = None
    matched_key: str | None = None
    similarity: float | None = None
    refusal: str | None = None
    answer: str | None = None
    prompt: str | None = None
    citations: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_seconds: float | None = None
    embed_seconds: float | None = None
    retrieve_seconds: float | None = None
    queue_seconds: float | None = None
    llm_seconds: float | None = None
    release_id: str | None = None
    status: int | None = None
    fingerprint: str | None = None
    key_id: str | None = None
    streamed: bool | None = None
    helpful: bool | None = None
    comment: str | None = None
    agrees: bool | None = None
    asker: str | None = None
    passage_score: float | None = None
    filters: str | None = None
    wording_key: str | None = None


def journal_filters(filters: Filters) -> str | None:
    """Return the filters of a question as the journal holds them, as JSON."""
    return msgspec.json.encode(dict(filters)).decode() if filters else None


class Journal:
    """Appends rows to segments in a folder. `on_lost` gets the number of rows that could not be kept."""

    def __init__(self, folder: Path, on_lost: Callable[[int], None] = lambda _: None) -> None:
        self._folder = folder
        self._on_lost = on_lost
        self._waiting: deque[JournalRow] = deque()
        self._collections: dict[tuple[str, str | None], str | None] = {}  # by request and key, the oldest first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._file: int | None = None
        self._path = folder
        self._written = 0
        self._opened = 0.0
        self._segments = 0
        self._failing = False

    def start(self) -> None:
        """Start the writing thread."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _close_orphans(self._folder)
        self._thread.start()

    def append(self, record: JournalRow) -> None:
        """Take one row; never blocks. Feedback without a collection gets that of its request, by the same caller."""
        if record.kind == "feedback" and record.collection is None:
            record.collection = self._collections.get((record.request_id, record.key_id))
        elif record.kind == "request":
            self._remember((record.request_id, record.key_id), record.collection)
        if len(self._waiting) >= _MOST_WAITING:
            self._on_lost(1)
            return
        self._waiting.append(record)

    def _remember(self, request: tuple[str, str | None], collection: str | None) -> None:
        """Keep the collection of a request; of an id that a caller used for two collections, none."""
        self._collections[request] = collection if self._collections.get(request, collection) == collection else None
        if len(self._collections) > _REMEMBERED:
            del self._collections[next(iter(self._collections))]

    def close(self) -> None:
        """Write all waiting rows and end the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        encoder = msgspec.json.Encoder()
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_FLUSH_SECONDS)
            records = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if records:
                self._write(records, encoder)
            self._rotate(force=stopping)

    def _write(self, records: list[JournalRow], encoder: msgspec.json.Encoder) -> None:
        lines = [line for record in records if (line := self._line(record, encoder))]
        block = b"".join(lines)
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            view = memoryview(block)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._on_lost(len(lines))
            if not self._failing:
                _log.error("the journal can't be written (%s); requests go on unrecorded", error)
            self._failing = True
        else:
            self._written += len(block)
            self._failing = False

    def _line(self, record: JournalRow, encoder: msgspec.json.Encoder) -> bytes:
        try:
            return encoder.encode(record) + b"\n"
        except Exception:  # no row may end the thread that writes all others
            _log.exception("the record of %s can't be written and is lost", record.request_id)
            self._on_lost(1)
            return b""

    def _open(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        self._segments += 1
        name = f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}-{self._segments}.jsonl"
        self._path = self._folder / name
        self._file = os.open(f"{self._path}.open", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._written, self._opened = 0, now.timestamp()

    def _rotate(self, *, force: bool) -> None:
        if self._file is None:
            return
        age = datetime.datetime.now(datetime.UTC).timestamp() - self._opened
        if force or age > _SEGMENT_SECONDS or self._written > _SEGMENT_BYTES:
            segment, self._file = self._file, None
            with contextlib.suppress(OSError):  # the next start closes it then
                os.close(segment)
                Path(f"{self._path}.open").rename(self._path)


def _close_orphans(folder: Path) -> None:
    """Rename the open segments of processes that are gone, or had this one's number before it."""
    for segment in folder.glob("*.jsonl.open"):
        owner = segment.name.split("-")[1]
        if owner.isdigit() and (int(owner) == os.getpid() or not _alive(int(owner))):
            with contextlib.suppress(FileNotFoundError):  # another worker was quicker
                segment.rename(segment.with_suffix(""))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
