"""Which anticipated questions may be shown to others than who asks them: the one rule for every list and suggestion.

A question that visitors typed is served to whoever asks it word for word, and nothing more: it stands on no page, in no
list and no suggestion, and answers no other question, until a person approves it (`warehouse.editorial.listing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag.filters import Filters
from warehouse.editorial.listing import Listings

if TYPE_CHECKING:
    from online.release.open_release import OpenRelease

_MOST_KEPT = 64


class Listed:
    """The questions of a release that may be listed."""

    def __init__(self, data: Path) -> None:
        self._listings = Listings(data)
        self._release_id = ""
        self._keys: dict[tuple[str, Filters], Sequence[str]] = {}

    def follow(self) -> None:
        """Read new approvals."""
        if self._listings.follow():
            self._keys = {}

    def allows(self, release: OpenRelease, query_key: str) -> bool:
        """Whether a question may be shown to others, as far as its origin goes."""
        return query_key not in release.index.asked_by_visitors or self._listings.approves(query_key)

    def keys(self, release: OpenRelease, collection: str, filters: Filters = ()) -> Sequence[str]:
        """Return the keys of a collection's questions that may be listed, in the order of the index.

        Of those with filters, they are the ones that may be shown to who asks with `filters`.
        """
        ids = release.collection(collection).questions.keys(filters)
        if not release.index.asked_by_visitors:
            return ids
        if release.release_id != self._release_id:
            self._release_id, self._keys = release.release_id, {}
        known = self._keys.get((collection, filters))
        if known is None:
            if len(self._keys) >= _MOST_KEPT:  # requests name what filters they like
                self._keys = {}
            known = self._keys[collection, filters] = [key for key in ids if self.allows(release, key)]
        return known
