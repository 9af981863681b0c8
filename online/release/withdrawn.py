"""Withdrawn documents, and pairs of questions that were reported as false hits.

The warehouse keeps both in append-only files. Each worker process checks them several times a second with a `stat`, so
a withdrawal or a report takes effect at once and everywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from warehouse.editorial.withdrawal import Tombstones, Withdrawals, tombstone


class Withdrawn:
    """The documents that are withdrawn and the pairs that must not hit."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._withdrawals = Withdrawals(data)
        self._tombstones = Tombstones(data)

    def __len__(self) -> int:
        return len(self._withdrawals)

    def touches(self, collection: str, documents: Sequence[str]) -> bool:
        """Whether an answer rests on a withdrawn document."""
        touching = self.touching(collection)
        return touching is not None and touching(documents)

    def touching(self, collection: str) -> Callable[[Sequence[str]], bool] | None:
        """Return the test of `touches` for one collection, or None while nothing of it is withdrawn."""
        withdrawn = self._withdrawals.of(collection)
        return (lambda documents: not withdrawn.keys().isdisjoint(documents)) if withdrawn else None

    def documents(self, collection: str) -> frozenset[str]:
        """Return the withdrawn documents of a collection."""
        return frozenset(list(self._withdrawals.of(collection)))  # one step: a thread may be adding to it

    def tombstoned(self, asked_key: str, matched_key: str) -> bool:
        """Whether neither of two questions may be answered with the answer to the other."""
        return frozenset((asked_key, matched_key)) in self._tombstones

    def apart_from(self, asked_key: str) -> Callable[[str], bool] | None:
        """Return the test of `tombstoned` for one question, or None while no pair is kept apart."""
        return functools.partial(self.tombstoned, asked_key) if self._tombstones else None

    def tombstone(self, asked_key: str, matched_key: str, reason: str) -> None:
        """Keep two questions apart, for good and in all processes; blocking."""
        tombstone(self._data, asked_key, matched_key, reason)
        self._tombstones.follow()

    def follow_documents(self) -> None:
        """Read new withdrawals."""
        self._withdrawals.follow()

    def follow_pairs(self) -> None:
        """Read newly reported pairs."""
        self._tombstones.follow()
