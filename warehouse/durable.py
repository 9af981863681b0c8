"""Crash-safe writing: atomic replacement, fsync of files and folders, and clear disk errors.

A rename is atomic but not durable: the file must be synced before it, and its folder after it. Assumes a local POSIX
file system (Linux, macOS).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from warehouse.errors import StorageError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def storage_errors(place: Path, task: str) -> Iterator[None]:
    """Turn an `OSError` into one sentence about `place`; `task` completes "Can't …".

    Raises:
        StorageError: the file system refused.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(_sentence(place, task, error.errno, error.strerror or str(error))) from error


def _sentence(place: Path, task: str, number: int | None, text: str) -> str:
    if number in _NO_SPACE:
        return f"Can't {task}: the disk of {place} is full; free some space and start again."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Can't {task}: {place} can't be written ({text}); check its owner and mode."
    return f"Can't {task} in {place}: {text}."


def sync(path: Path) -> None:
    """Sync one file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Replace the content of a file atomically: even after a crash, readers see the old or the new one."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block ends; after an error `path` is unchanged."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def rename(source: Path, target: Path) -> None:
    """Rename within one folder, durably."""
    source.rename(target)
    sync(target.parent)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def seal_tree(folder: Path) -> None:
    """Sync a folder and everything in it to the disk, and make it read-only."""
    for path in files_below(folder):
        sync(path)
        path.chmod(0o444)
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        sync(path)
        path.chmod(0o555)
    sync(folder)
    folder.chmod(0o555)


def remove_tree(folder: Path) -> None:
    """Remove a folder, even if it is read-only."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()
