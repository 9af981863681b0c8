"""The journal on its way to the store: each server sends its segments in chunks, and compaction takes them from there.

A chunk is a whole number of lines of one segment, an object that is written once and named by mirror, segment and
offset. Segments that are still being written are sent as far as they are. So a server that is lost with its disk loses
what it wrote since the last round of sending.
"""

from __future__ import annotations

import json
from pathlib import Path

from warehouse.durable import replace_file, storage_errors
from warehouse.errors import ContestedError
from warehouse.objects.client import in_parallel
from warehouse.objects.mirror import Mirror

JOURNAL = "journal"
_OPEN = ".open"
_CHUNK = 16 * 2**20  # bytes, cut at a line


def send_journal(mirror: Mirror) -> int:
    """Send what is new in the journal's segments, and remove those that are closed and sent; return the chunks sent.

    Raises:
        StorageError: the store or the disk refuses; the segments stay.
    """
    with mirror.locked(JOURNAL), storage_errors(mirror.folder, "send the journal to the store"):
        folder = mirror.folder / JOURNAL
        # listed before they are read: one that is closed by now has all its lines
        segments = sorted([*folder.glob("*.jsonl"), *folder.glob(f"*.jsonl{_OPEN}")])
        return sum(in_parallel(lambda segment: _send(mirror, segment), segments))


def _send(mirror: Mirror, segment: Path) -> int:
    closed = segment.suffix != _OPEN
    name = segment.name.removesuffix(_OPEN).removesuffix(".jsonl")
    note = segment.with_name(f"{name}.sent")
    chunks = 0
    try:
        with segment.open("rb") as file:
            while True:
                start = _sent(note)
                file.seek(start)
                block = file.read(_CHUNK)
                whole = _whole_lines(block, closed=closed)
                if not whole:
                    break
                end = _create(mirror, f"{JOURNAL}/{name}-{mirror.name}-{start:012d}.jsonl", block[:whole], start)
                replace_file(note, json.dumps({"offset": end}).encode())
                chunks += 1
    except FileNotFoundError:  # it was closed, and so renamed, in between; the next round sends it
        return chunks
    if closed:
        segment.unlink()
        note.unlink(missing_ok=True)
    return chunks


def _whole_lines(block: bytes, *, closed: bool) -> int:
    """Return how much of a block can be sent; a closed segment is sent to its end, a torn last line with it."""
    if closed and len(block) < _CHUNK:
        return len(block)
    return block.rfind(b"\n") + 1 or (len(block) if closed else 0)


def _create(mirror: Mirror, key: str, block: bytes, start: int) -> int:
    """Write a chunk; return where it ends, which is that of an earlier attempt if there was one."""
    try:
        mirror.store.create(key, block)
    except ContestedError:  # a kill came between sending and noting it
        found = mirror.store.find(key)
        return start + (found.size if found else len(block))
    return start + len(block)


def _sent(note: Path) -> int:
    try:
        return int(json.loads(note.read_bytes())["offset"])
    except FileNotFoundError:
        return 0
