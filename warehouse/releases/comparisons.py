"""Comparisons of semantic hits with live answers, one append-only file for each release.

All servers of a data folder append to it and read the same lines in the same order, so they come to the same
conclusions, and so does one that starts later. A new release begins with none; the file goes when its release does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from warehouse.append_log import Record, Tail, append, now
from warehouse.releases.release import comparisons_file


@dataclass(frozen=True)
class Comparison:
    """A semantic hit with the verifier's score of it, and whether a live answer said the same."""

    collection: str
    score: float
    agrees: bool


def record_comparison(data: Path, release_id: str, comparison: Comparison) -> None:
    """Keep a comparison.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    append(comparisons_file(data, release_id), [{**asdict(comparison), "at": now()}])


class RecordedComparisons:
    """The comparisons of a release as they come in, from this process and from others."""

    def __init__(self, data: Path, release_id: str) -> None:
        """Follow those of a release."""
        self._log = Tail(comparisons_file(data, release_id))

    def new(self) -> tuple[list[Comparison], bool]:
        """Return those that are new, and whether what was returned before no longer counts; costs one `stat`."""
        records, afresh = self._log.new()
        return [each for record in records if (each := _comparison(record)) is not None], afresh


def _comparison(record: Record) -> Comparison | None:
    collection, score, agrees = (record.get(name) for name in ("collection", "score", "agrees"))
    if isinstance(collection, str) and isinstance(score, int | float) and isinstance(agrees, bool):
        return Comparison(collection, float(score), agrees)
    return None
