"""What tells that source files have changed: their names, sizes and times, without opening one.

Where machines share a store, each may have copies of the files, with other paths and times. There the mark of a local
file is its content, so that what one machine's release covers can be told on another; a file is read when it changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from batch.runners.options import pipeline_options
from batch.settings import BatchSettings
from batch.sources.local_files import is_glob
from batch.sources.remote_files import RemoteFiles
from batch.sources.source_files import find_documents, find_sources
from rag.collection_settings import CollectionSettings
from rag.identity import stable_hash
from warehouse.objects.client import in_parallel

LocalMark = Callable[[str], str]
"""Returns the mark of a local file by its path, "" for one that is gone."""


def mark_of_sources(
    collections: Mapping[str, CollectionSettings], settings: BatchSettings, local: LocalMark | None = None
) -> str:
    """Return a hash of all files that a run would read: documents, lists of questions, curated answers.

    Local files are told by `local`, by default their status.

    Raises:
        ConfigurationError: an address can't be read or reached.
    """
    listed = {
        "documents": find_documents(collections, settings),
        **{
            kind: find_sources({name: getattr(each, kind) for name, each in collections.items()}, settings)
            for kind in ("questions", "curated")
        },
    }
    remote = dict(_remote(collections, settings))
    local = local or mark_by_status
    marks = sorted(
        (kind, each.collection, each.name, remote.get(each.path) or local(each.path))
        for kind, listing in listed.items()
        for each in listing.sources
    )
    return stable_hash("sources", marks)


def mark_by_status(path: str) -> str:
    """Return what tells a file's state on this machine, without opening it."""
    try:
        status = Path(path.removeprefix("file://")).stat()
    except OSError:  # it has gone since it was listed
        return ""
    return f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ino}"


class ContentMarks:
    """Marks of local files that are alike on all machines: hashes of what they hold, of each status read once."""

    def __init__(self) -> None:
        """Begin without having read a file."""
        self._known: dict[str, tuple[str, str]] = {}

    def __call__(self, path: str) -> str:
        """Return the mark of a file."""
        status = mark_by_status(path)
        known = self._known.get(path)
        if known is None or known[0] != status:
            known = self._known[path] = status, _digest(path)
        return known[1]


def _digest(path: str) -> str:
    try:
        with Path(path.removeprefix("file://")).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # gone, or not readable: the run rejects it
        return ""


def _remote(collections: Mapping[str, CollectionSettings], settings: BatchSettings) -> Iterator[tuple[str, str]]:
    """Yield the remote files, each with its address, size and time, as far as its file system tells."""
    entries = {
        entry.get_secret_value()
        for each in collections.values()
        for entry in (*each.documents, *each.questions, *each.curated)
    }
    remote = RemoteFiles(pipeline_options(settings))
    patterns = [
        pattern
        for entry in sorted(entries)
        if "://" in entry and not entry.startswith("file://")
        for pattern in ([entry] if is_glob(entry) else [entry, f"{entry.rstrip('/')}/**"])
    ]
    for found in in_parallel(remote.marks, patterns):
        yield from ((path, f"{path} {mark}") for path, mark in found.items())
