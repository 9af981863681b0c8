"""The log that all machines write: decisions, withdrawals, wordings, runs, comparisons.

Each append is one object, `log/000000000042`, created only if there is none of that number yet. So there is one order,
the same everywhere, and no line is lost or overwritten: who comes second takes the next number. An object names the
file that its lines belong to; the mirror's files are the lines of all objects in order, behind them those that are not
sent yet. So readers read files as ever, and following costs one list of what is newer.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from warehouse.durable import storage_errors, sync
from warehouse.errors import ContestedError, StorageError
from warehouse.objects.client import in_parallel
from warehouse.objects.mirror import Mirror
from warehouse.objects.outbox import parts_of, sent, waiting

_PREFIX = "log"
_NOTE = "log"
_ATTEMPTS = 50  # appends of others that may come first


@dataclass(frozen=True)
class _Position:
    """How far the mirror is: the last object's number, and the size that each file has with it."""

    number: int
    sizes: Mapping[str, int]


def follow_log(mirror: Mirror) -> None:
    """Send what was appended here, and bring the mirror's files up to date.

    Raises:
        StorageError: the store or the disk refuses; what was appended here stays, and is sent later.
    """
    with mirror.locked(_NOTE):
        position = _follow(mirror, _position(mirror))
        for path in waiting(mirror.folder):
            position = _send(mirror, position, path.read_bytes())


def _send(mirror: Mirror, position: _Position, content: bytes) -> _Position:
    for _ in range(_ATTEMPTS):
        number = position.number + 1
        if _created(mirror, _key(number), content):
            return _take(mirror, position, number, [content])
        position = _follow(mirror, position)
    raise mirror.store.contested(_PREFIX)


def _created(mirror: Mirror, key: str, content: bytes) -> bool:
    try:
        mirror.store.create(key, content)
    except ContestedError:
        found = mirror.store.read(key)
        return found is not None and found.data == content  # ours: the first answer was lost, and it was sent again
    return True


def _follow(mirror: Mirror, position: _Position) -> _Position:
    keys = [each.key for each in mirror.store.listed(_PREFIX, _key(position.number))]
    if not keys:
        return position
    if keys != [_key(position.number + step) for step in range(1, len(keys) + 1)]:
        raise StorageError(
            f"{mirror.store.address}/{_PREFIX} has a gap after {position.number}: an object was deleted."
        )
    return _take(mirror, position, position.number + len(keys), in_parallel(lambda key: _content(mirror, key), keys))


def _content(mirror: Mirror, key: str) -> bytes:
    found = mirror.store.read(key)
    if found is None:
        raise StorageError(f"{mirror.store.address}/{key} was deleted; the log can't be followed.")
    return found.data


def _take(mirror: Mirror, position: _Position, number: int, contents: list[bytes]) -> _Position:
    """Put the lines of objects into their files; a crash at any moment leaves what the next one repairs."""
    blocks: dict[str, list[bytes]] = {}
    for content in contents:
        mark, name, lines = parts_of(content)
        blocks.setdefault(name, []).append(lines)
        sent(mirror.folder, mark)
    sizes = dict(position.sizes)
    with storage_errors(mirror.folder, "copy the store's log"):
        for name, parts in blocks.items():
            sizes[name] = _extend(mirror, name, sizes.get(name, 0), b"".join(parts))
    mirror.note(_NOTE, {"number": number, "sizes": sizes})
    return _Position(number, sizes)


def _inside(mirror: Mirror, name: str) -> Path:
    if name.startswith("/") or ".." in Path(name).parts:
        raise StorageError(f"{mirror.store.address}/{_PREFIX} names the file {name!r}, which is outside of the data.")
    return mirror.folder / name


def _extend(mirror: Mirror, name: str, size: int, lines: bytes) -> int:
    """Write lines behind the first `size` bytes of a file, and then those that wait to be sent; return the new size."""
    path = _inside(mirror, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as `append` does
        whole = min(size, file.seek(0, os.SEEK_END))  # pruning may have removed the file
        unsent = [found[2] for each in waiting(mirror.folder) if (found := parts_of(each.read_bytes()))[1] == name]
        block = b"".join([lines, *unsent])
        _overwrite(path, whole, block)
    if is_new:
        sync(path.parent)
    return whole + len(lines)


def _overwrite(path: Path, start: int, block: bytes) -> None:
    """Replace what follows `start`; readers without a lock see old or new lines, never none."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, block, start)
        os.ftruncate(descriptor, start + len(block))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _position(mirror: Mirror) -> _Position:
    noted = mirror.known(_NOTE)
    number, sizes = noted.get("number", 0), noted.get("sizes", {})
    assert isinstance(number, int) and isinstance(sizes, dict)
    return _Position(number, sizes)


def _key(number: int) -> str:
    return f"{_PREFIX}/{number:012d}"
