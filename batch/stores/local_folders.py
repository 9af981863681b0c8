"""Folders of indexes and the like, which libraries read and write as local files, wherever a run's files are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batch.stores.fetched import fetched, send_folder
from batch.stores.object_files import is_objects


@contextmanager
def local_copy(folder: str) -> Iterator[Path]:
    """Yield a folder as a local path; one in the store is fetched to this machine, and empty if it is not there."""
    try:
        yield fetched(folder)
    except FileNotFoundError:
        if not is_objects(folder):
            raise
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)


@contextmanager
def local_output(folder: str) -> Iterator[Path]:
    """Yield an empty local folder whose files are moved to `folder` at the end, where `local_copy` finds them."""
    beside = None
    if not is_objects(folder):  # in the run's folder, which is deleted later even if this process is killed
        beside = Path(folder).parent
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".output-", dir=beside) as temporary:
        yield Path(temporary)
        if is_objects(folder):
            send_folder(Path(temporary), folder)
            return
        for source in sorted(each for each in Path(temporary).rglob("*") if each.is_file()):
            _move(source, Path(folder) / source.relative_to(temporary))


def _move(source: Path, target: Path) -> None:
    """Move a file of the same disk; it survives a power cut, and is never read into memory."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
