"""Folders of models and indexes in an object store, fetched once to each machine that works with them.

A list of the folder's files with their checksums stands beside it and is written last. A fetched folder is named by the
address and that list, and appears whole: processes of one machine wait for the one that fetches, and a fetch that is
killed leaves nothing that could be taken for a folder. What was not used for two weeks is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from batch.stores import object_files
from rag.errors import RunnerError
from warehouse.lease import exclusive
from warehouse.objects.client import in_parallel

_UNUSED_SECONDS = 14 * 24 * 3600.0

Contents = Mapping[str, str]  # the SHA-256 of each file by its path in the folder


def fetched(folder: str) -> Path:
    """Return a folder of the store as one of this machine; a local folder is returned as it is.

    Raises:
        FileNotFoundError: there is no such folder, or it is not whole.
        RunnerError: a file is not what it was when it was sent.
    """
    if not object_files.is_objects(folder):
        return Path(folder)
    listed = object_files.read(_list_of(folder))
    if listed is None:
        raise FileNotFoundError(folder)
    name = hashlib.sha256(folder.encode() + listed).hexdigest()[:24]
    kept = _cache() / name / folder.rpartition("/")[2]
    if not kept.exists():
        with exclusive(_cache() / f"{name}.lock"):
            if not kept.exists():
                _remove_unused()
                _fetch(folder, json.loads(listed), kept)
    os.utime(kept.parent)
    return kept


def send_folder(source: Path, target: str) -> None:
    """Send a local folder to the store, unless the same is there already."""
    contents = _contents(source)
    listed = json.dumps(contents, sort_keys=True).encode()
    if object_files.read(_list_of(target)) == listed:
        return
    in_parallel(lambda name: object_files.write(f"{target}/{name}", source / name), contents)
    object_files.write(_list_of(target), listed)


@lru_cache(maxsize=16)
def digest(folder: Path) -> str:
    """Return the hash of a model's folder, which does not change while a process lives."""
    return hashlib.sha256(json.dumps(_contents(folder), sort_keys=True).encode()).hexdigest()[:24]


def _list_of(folder: str) -> str:
    return f"{folder}.contents.json"


def _contents(folder: Path) -> Contents:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beforehand" / "fetched"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _fetch(folder: str, contents: Contents, kept: Path) -> None:
    """Copy a folder's files, check them, and let the whole appear at once."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=_cache()) as temporary:
        whole = Path(temporary) / "whole"
        target = whole / kept.name
        in_parallel(lambda name: _download(f"{folder}/{name}", target / name), contents)
        for name, expected in contents.items():
            if _sha256(target / name) != expected:
                raise RunnerError(f"{folder}/{name} is not what was sent; start again")
        whole.rename(kept.parent)


def _download(path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    object_files.download(path, target)


def _remove_unused() -> None:
    oldest = time.time() - _UNUSED_SECONDS
    for path in _cache().iterdir():
        if path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
