"""Comparisons of semantic hits with live answers, in one append-only file a release.

All servers of a data folder append to it and read the same lines in the same order, so all reach the same conclusions,
also one that starts later. Pruning a release deletes its file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from warehouse.append_log import Tail, append, now
from warehouse.log_line import Record


@dataclass(frozen=True)
class Comparison:
    """A semantic hit: its score, whether a live answer agreed, and whether the selector chose it or the verifier."""

    collection: str
    score: float
    agrees: bool
    selected: bool = False


def comparisons_file(data: Path, release_id: str) -> Path:
    """Return where the comparisons of a release are kept: beside the releases, since those never change."""
    return data / "comparisons" / f"{release_id}.jsonl"


def record_comparison(data: Path, release_id: str, comparison: Comparison) -> None:
    """Append a comparison.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    append(comparisons_file(data, release_id), [{**asdict(comparison), "at": now()}])


class RecordedComparisons:
    """Follows the comparisons of a release, from this process and from others."""

    def __init__(self, data: Path, release_id: str) -> None:
        """Follow the comparisons of a release."""
        self._log = Tail(comparisons_file(data, release_id))

    def new(self) -> tuple[list[Comparison], bool]:
        """Return the new comparisons, and whether the file was replaced, so that earlier ones no longer count."""
        records, afresh = self._log.new()
        return [each for record in records if (each := _comparison(record)) is not None], afresh


def _comparison(record: Record) -> Comparison | None:
    collection, score, agrees = (record.get(name) for name in ("collection", "score", "agrees"))
    if isinstance(collection, str) and isinstance(score, int | float) and isinstance(agrees, bool):
        return Comparison(collection, float(score), agrees, record.get("selected") is True)
    return None
