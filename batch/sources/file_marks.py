"""What tells that source files have changed, without opening one: their names, sizes and times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from batch.runners.options import pipeline_options
from batch.settings import BatchSettings
from batch.sources.local_files import is_glob
from batch.sources.remote_files import RemoteFiles
from batch.sources.source_files import find_documents, find_sources
from rag.collection_settings import CollectionSettings
from rag.identity import stable_hash
from warehouse.objects.client import in_parallel


def mark_of_sources(collections: Mapping[str, CollectionSettings], settings: BatchSettings) -> str:
    """Return a hash of all files that a run would read: documents, lists of questions, curated answers.

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
    marks = sorted(
        (kind, each.collection, each.name, each.path, remote.get(each.path) or _local(each.path))
        for kind, listing in listed.items()
        for each in listing.sources
    )
    return stable_hash("sources", marks)


def _local(path: str) -> str:
    try:
        status = Path(path.removeprefix("file://")).stat()
    except OSError:  # it has gone since it was listed
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


def _remote(collections: Mapping[str, CollectionSettings], settings: BatchSettings) -> Iterator[tuple[str, str]]:
    """Yield the remote files with their sizes and times, as far as their file system tells."""
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
        yield from found.items()
