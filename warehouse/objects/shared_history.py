"""The history of a store: any machine may compact the journal's chunks into it, each record exactly once.

Days are read before the chunks are listed, rewritten here, and sent only if the store's day is still the one that was
read; the chunks are deleted last. Whoever comes second finds a changed day, and begins again: the first one's chunks
are then either gone or named by the day as contained.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from warehouse.errors import ContestedError
from warehouse.objects.client import in_parallel
from warehouse.objects.journal_chunks import JOURNAL, send_journal
from warehouse.objects.mirror import Mirror
from warehouse.objects.outbox import STATE
from warehouse.objects.trees import changed_here, delete_gone, pull_tree, replace_in_store

T = TypeVar("T")

_HISTORY = "history"
_ATTEMPTS = 10


def compact_shared(mirror: Mirror, compact_from: Callable[[Path], T]) -> T:
    """Bring the mirror's history up to date, and compact what waits in the store with `compact_from`.

    That is given a folder of segments, moves them into the mirror's history and returns the outcome.

    Raises:
        ContestedError: other machines compact all the time.
        StorageError: the store or the disk refuses; nothing is lost.
    """
    with mirror.locked("compaction"):
        send_journal(mirror)
        for _ in range(_ATTEMPTS):
            with suppress(ContestedError):
                return _compact(mirror, compact_from)
    raise mirror.store.contested(_HISTORY)


def _compact(mirror: Mirror, compact_from: Callable[[Path], T]) -> T:
    pull_tree(mirror, _HISTORY)
    chunks = [each.key for each in mirror.store.listed(JOURNAL)]
    incoming = mirror.folder / STATE / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    in_parallel(lambda key: _fetch(mirror, key, incoming), chunks)
    outcome = compact_from(incoming)
    for key in changed_here(mirror, _HISTORY):
        _publish_day(mirror, key)
    delete_gone(mirror, _HISTORY)
    mirror.store.delete(chunks)
    return outcome


def _fetch(mirror: Mirror, key: str, incoming: Path) -> None:
    try:
        mirror.store.download(key, incoming / key.rpartition("/")[2])
    except FileNotFoundError:  # another machine has just compacted it, and changed the day
        raise mirror.store.contested(key) from None


def _publish_day(mirror: Mirror, key: str) -> None:
    try:
        replace_in_store(mirror, _HISTORY, key)
    except ContestedError:
        (mirror.folder / key).unlink()  # so that the store's is pulled
        raise
