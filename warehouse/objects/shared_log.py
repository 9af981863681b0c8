"""The log that all machines write: decisions, withdrawals, wordings, runs, comparisons.

Each append is one object, `log/000000000042`, created only if there is none of that number yet. So there is one order,
the same everywhere, and no line is lost or overwritten: who comes second takes the next number. An object names the
file that its lines belong to; the mirror's files are the lines of all objects in order, so readers read files as ever,
and following costs one list of what is newer.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from warehouse.durable import storage_errors, sync
from warehouse.errors import ContestedError, StorageError
from warehouse.objects.client import in_parallel
from warehouse.objects.mirror import Mirror, mirror_of

_PREFIX = "log"
_NOTE = "log"
_ATTEMPTS = 50  # appends of others that may come first


@dataclass(frozen=True)
class _Position:
    """How far the mirror is: the last object's number, and the size that each file has with it."""

    number: int
    sizes: Mapping[str, int]


def mirror_of_log(path: Path) -> Mirror | None:
    """Return the mirror that an append-only file is in, at most one folder deep; None for an ordinary folder."""
    return mirror_of(path.parent) or mirror_of(path.parent.parent)


def append_shared(mirror: Mirror, path: Path, block: bytes) -> None:
    """Append whole lines to a file of the mirror, in the store first; when this returns, the store has them.

    Raises:
        StorageError: the store or the disk refuses; nothing is appended, except where the answer was lost on its way.
    """
    name = path.relative_to(mirror.folder).as_posix()
    head = {"file": name, "by": mirror.name, "mark": secrets.token_hex(8)}
    content = json.dumps(head).encode() + b"\n" + block
    with mirror.locked(_NOTE):
        for _ in range(_ATTEMPTS):
            position = _follow(mirror)
            number = position.number + 1
            if _created(mirror, _key(number), content):
                _take(mirror, position, number, [content])
                return
    raise StorageError(f"Can't write {path.name}: others write to {mirror.store.address} all the time; try again.")


def follow_log(mirror: Mirror) -> None:
    """Bring the mirror's files up to date."""
    with mirror.locked(_NOTE):
        _follow(mirror)


def _created(mirror: Mirror, key: str, content: bytes) -> bool:
    try:
        mirror.store.create(key, content)
    except ContestedError:
        found = mirror.store.read(key)
        return found is not None and found.data == content  # ours: the first answer was lost, and it was sent again
    return True


def _follow(mirror: Mirror) -> _Position:
    position = _position(mirror)
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
    """Append the lines of objects to their files; a crash at any moment leaves files that the next one repairs."""
    blocks: dict[str, list[bytes]] = {}
    for content in contents:
        head, _, lines = content.partition(b"\n")
        blocks.setdefault(str(json.loads(head)["file"]), []).append(lines)
    sizes = dict(position.sizes)
    with storage_errors(mirror.folder, "copy the store's log"):
        for name, parts in blocks.items():
            sizes[name] = _extend(_inside(mirror, name), sizes.get(name, 0), b"".join(parts))
    mirror.note(_NOTE, {"number": number, "sizes": sizes})
    return _Position(number, sizes)


def _inside(mirror: Mirror, name: str) -> Path:
    if name.startswith("/") or ".." in Path(name).parts:
        raise StorageError(f"{mirror.store.address}/{_PREFIX} names the file {name!r}, which is outside of the data.")
    return mirror.folder / name


def _extend(path: Path, size: int, lines: bytes) -> int:
    """Cut off what a crash left beyond `size`, append lines, and return the new size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("r+b" if not is_new else "xb") as file:
        whole = min(size, file.seek(0, os.SEEK_END))  # pruning may have removed the file
        file.truncate(whole)
        file.seek(whole)
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync(path.parent)
    return whole + len(lines)


def _position(mirror: Mirror) -> _Position:
    noted = mirror.known(_NOTE)
    number, sizes = noted.get("number", 0), noted.get("sizes", {})
    assert isinstance(number, int) and isinstance(sizes, dict)
    return _Position(number, sizes)


def _key(number: int) -> str:
    return f"{_PREFIX}/{number:012d}"
