"""The anticipated questions of a collection, to search and to browse.

A search embeds what was typed and returns the nearest questions; browsing pages through them in the order of the
index. Both see one collection and nothing else, no question whose answer has been withdrawn, none of a visitor's that
nobody has approved, and none that was asked with other filters than the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from online.http.schemas import AnticipatedQuestion, Questions
from online.release.stored_wordings import Anticipated
from rag.filters import Filters

if TYPE_CHECKING:
    from online.answering.lookup import Lookup
    from online.release.open_release import OpenRelease

_MOST_UNLISTED = 1000  # how many further neighbours a search looks at, where some may not be listed


@dataclass(frozen=True)
class Page:
    """A page of a collection's anticipated questions."""

    collection: str
    limit: int
    offset: int
    filters: Filters = ()


def search(lookup: Lookup, release: OpenRelease, page: Page, typed: str) -> Questions:
    """Return the anticipated questions that are nearest to what was typed; blocking."""
    index, listed = release.collection(page.collection).questions, _listed(lookup, release, page)
    vector = release.encoder.embed([typed])[0]
    wanted = page.offset + page.limit
    unlisted = len(index.keys(page.filters)) - len(listed)
    near = index.search(vector, wanted + min(unlisted, _MOST_UNLISTED), index.shown_to(page.filters))
    near = [each for each in near if lookup.prepared.listed.allows(release, each[0])][page.offset : wanted]
    found = [_shown(lookup, release, page, key, similarity) for key, similarity in near]
    return _page(found, page, len(listed))


def browse(lookup: Lookup, release: OpenRelease, page: Page) -> Questions:
    """Return one page of the anticipated questions."""
    keys = _listed(lookup, release, page)
    some = [_shown(lookup, release, page, key, None) for key in keys[page.offset : page.offset + page.limit]]
    return _page(some, page, len(keys))


def _listed(lookup: Lookup, release: OpenRelease, page: Page) -> Sequence[str]:
    return lookup.prepared.listed.keys(release, page.collection, page.filters)


def _page(found: list[AnticipatedQuestion | None], page: Page, total: int) -> Questions:
    after = page.offset + page.limit
    return Questions(
        questions=[each for each in found if each is not None],
        total=total,
        next_offset=after if after < total else None,
    )


def _shown(
    lookup: Lookup, release: OpenRelease, page: Page, query_key: str, similarity: float | None
) -> AnticipatedQuestion | None:
    stored = release.index.question(query_key)
    if stored is None or not lookup.prepared.is_shown(release, page.collection, query_key, page.filters):
        return None
    anticipated = msgspec.json.decode(stored, type=Anticipated)
    return AnticipatedQuestion(
        question=anticipated.question,
        query_key=query_key,
        similarity=None if similarity is None else round(float(similarity), 4),
        filters=anticipated.filters or msgspec.UNSET,
    )
