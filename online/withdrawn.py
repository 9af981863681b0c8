"""What must not be served any more: withdrawn documents, and pairs of questions that were reported."""

from __future__ import annotations

from collections.abc import Collection, Sequence


class Withdrawn:
    """The documents that are withdrawn and the pairs that must not hit, by collection."""

    def __init__(self) -> None:
        self._documents: dict[str, frozenset[str]] = {}
        self._pairs: set[tuple[str, str]] = set()

    def touches(self, collection: str, documents: Sequence[str]) -> bool:
        """Say whether an answer rests on a withdrawn document."""
        withdrawn = self._documents.get(collection)
        return bool(withdrawn) and not withdrawn.isdisjoint(documents)  # type: ignore[union-attr]  # not None if true

    def documents(self, collection: str) -> Collection[str]:
        """Return the withdrawn documents of a collection."""
        return self._documents.get(collection, frozenset())

    def tombstoned(self, asked_key: str, matched_key: str) -> bool:
        """Say whether a question must not be answered by that anticipated one."""
        return (asked_key, matched_key) in self._pairs

    def follow(self) -> None:
        """Look for news."""
