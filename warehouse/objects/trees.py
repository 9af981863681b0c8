"""Folders of files that are each written once: stores of embeddings and answers, stages, verifiers, days of history.

A folder of the mirror and its objects are compared with what both were when they were last alike, so that each side's
news can be told from what the other has deleted: a file that is new here is pushed, one that is gone in the store is
removed here, and only the holder of the build's lease deletes in the store. A transfer that is killed leaves whole
files and whole objects; the next one goes on from there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from warehouse.durable import storage_errors
from warehouse.objects.client import Stored, in_parallel
from warehouse.objects.mirror import Mirror

T = TypeVar("T")

_SAVED_AFTER = 256  # files, so that a kill makes no more be sent again
_Alike = list[str | int]  # the object's mark, the file's size and its time, when they were last the same


def pull_tree(mirror: Mirror, prefix: str) -> int:
    """Make a folder of the mirror like the store's, keeping files that are new here; return how many files came.

    Raises:
        StorageError: the store or the disk refuses.
    """
    with mirror.locked(prefix), storage_errors(mirror.folder, f"copy {prefix} from the store"):
        alike = _alike(mirror, prefix)
        listed = {each.key: each for each in mirror.store.listed(prefix)}
        gone = [key for key in alike if key not in listed]
        for key in gone:
            (mirror.folder / key).unlink(missing_ok=True)
            del alike[key]
        wanted = [each for each in listed.values() if not _is_here(mirror, alike.get(each.key), each)]
        for part in _parts(wanted):
            alike |= in_parallel(lambda each: (each.key, _fetched(mirror, each)), part)
            mirror.note(prefix, alike)
        if gone:
            mirror.note(prefix, alike)
    return len(wanted)


def push_tree(mirror: Mirror, prefix: str) -> int:
    """Send what is new in a folder of the mirror; return how many files went.

    Raises:
        StorageError: the store or the disk refuses.
    """
    with mirror.locked(prefix), storage_errors(mirror.folder, f"send {prefix} to the store"):
        alike = _alike(mirror, prefix)
        here = files_of(mirror.folder, prefix)
        fresh = changed_here(mirror, prefix)
        for part in _parts(fresh):
            alike |= in_parallel(lambda key: (key, _sent(mirror, key, here[key])), part)
            mirror.note(prefix, alike)
    return len(fresh)


def delete_gone(mirror: Mirror, prefix: str) -> None:
    """Delete the objects whose files were removed here since they were alike."""
    with mirror.locked(prefix):
        alike, here = _alike(mirror, prefix), files_of(mirror.folder, prefix)
        if gone := [key for key in alike if key not in here]:
            mirror.store.delete(gone)
            mirror.note(prefix, {key: each for key, each in alike.items() if key not in gone})


def changed_here(mirror: Mirror, prefix: str) -> list[str]:
    """Return the keys of the files that are new or were rewritten since the store had them."""
    alike = _alike(mirror, prefix)
    here = files_of(mirror.folder, prefix)
    return [key for key, path in here.items() if alike.get(key, [])[1:] != _size_and_time(path)]


def replace_in_store(mirror: Mirror, prefix: str, key: str) -> None:
    """Send a file of a pulled folder that was rewritten here, if its object is still the one that was pulled.

    Raises:
        ContestedError: somebody else has written it.
    """
    with mirror.locked(prefix), storage_errors(mirror.folder, f"send {key} to the store"):
        alike = _alike(mirror, prefix)
        path = mirror.folder / key
        size_and_time = _size_and_time(path)
        if key not in alike:
            mark = mirror.store.create(key, path)
        else:
            found = mirror.store.find(key)
            if found is None or found.mark != alike[key][0]:
                raise mirror.store.contested(key)
            mark = mirror.store.replace(found, path)
        mirror.note(prefix, alike | {key: [mark, *size_and_time]})


def delete_tree(mirror: Mirror, prefix: str) -> None:
    """Delete all objects below a prefix, and forget what was known of them."""
    mirror.store.delete([each.key for each in mirror.store.listed(prefix)])
    mirror.forget(prefix)


def name_folders(mirror: Mirror, prefix: str) -> None:
    """Make the folders that the store has directly below a prefix, empty where nothing was pulled."""
    with storage_errors(mirror.folder, f"list {prefix} as in the store"):
        for name in mirror.store.folders(prefix):
            (mirror.folder / prefix / name).mkdir(parents=True, exist_ok=True)


def files_of(folder: Path, prefix: str) -> dict[str, Path]:
    """Return the files below a folder's prefix by their keys, sorted; hidden ones are being written."""
    root = folder / prefix
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found if not _is_hidden(path.relative_to(root))}


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_here(mirror: Mirror, alike: _Alike | None, stored: Stored) -> bool:
    return alike is not None and alike[0] == stored.mark and (mirror.folder / stored.key).exists()


def _fetched(mirror: Mirror, stored: Stored) -> _Alike:
    path = mirror.folder / stored.key
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        mirror.store.download(stored.key, temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return [stored.mark, *_size_and_time(path)]


def _sent(mirror: Mirror, key: str, path: Path) -> _Alike:
    size_and_time = _size_and_time(path)  # before it is read, so that a later change is sent too
    return [mirror.store.write(key, path), *size_and_time]


def _size_and_time(path: Path) -> list[str | int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _alike(mirror: Mirror, prefix: str) -> dict[str, _Alike]:
    return {key: each for key, each in mirror.known(prefix).items() if isinstance(each, list)}


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _SAVED_AFTER] for start in range(0, len(items), _SAVED_AFTER))
