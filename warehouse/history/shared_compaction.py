"""Compaction wherever the data is: of a folder's own journal, or of what all servers of an object store have sent."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from warehouse.history.compaction import Compacted, compact
from warehouse.objects.mirror import mirror_of
from warehouse.objects.shared_history import compact_shared
from warehouse.settings import HistorySettings


def compact_journal(data: Path, settings: HistorySettings, today: date | None = None) -> Compacted:
    """Bring the history up to date with all that was journalled; in a mirror, with all that is in the store.

    Raises:
        StorageError: the disk refuses, or the store can't be reached; nothing is lost, and it can be called again.
    """
    mirror = mirror_of(data)
    if mirror is None:
        return compact(data, settings, today)
    return compact_shared(mirror, lambda incoming: compact(data, settings, today, incoming))
