"""The wordings of a release as the serving index holds them, with the questions and answers that they belong to.

The same ones are near again and again, so the latest are kept decoded: a decision looks at up to 96 of them, and three
lookups and a decoding for each would take longer than the decision.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from warehouse.releases.serving_index import ServingIndex

if TYPE_CHECKING:
    from online.release.question_index import QuestionIndex

_KEPT = 1 << 14  # some 10 MB


class Anticipated(msgspec.Struct):
    """An anticipated question as the serving index holds it."""

    question: str
    query_key: str
    collection: str
    filters: dict[str, str] = {}


class _Further(msgspec.Struct):
    wording: str


@dataclass(frozen=True, slots=True)
class StoredWording:
    """A wording: its text, its key and that of its answer, the question and collection of that.

    `alone` says that the answer has no further wording.
    """

    text: str
    wording_key: str
    query_key: str
    question: str
    collection: str
    alone: bool


class StoredWordings:
    """Finds wordings by their keys. A release never changes, so what was read stays true."""

    def __init__(self, index: ServingIndex) -> None:
        self._index = index
        self.find = functools.lru_cache(_KEPT)(self._read)
        self._in_rows: dict[int, Callable[[int], StoredWording | None]] = {}

    def in_rows(self, of: QuestionIndex) -> Callable[[int], StoredWording | None]:
        """Return what finds the wording in a row of one of the release's indexes."""
        key = id(of)  # the release holds its indexes as long as this
        found = self._in_rows.get(key)
        if found is None:
            ids, find = of.vectors.ids, self.find
            found = self._in_rows[key] = functools.lru_cache(_KEPT)(lambda row: find(ids[row]))
        return found

    def _read(self, wording_key: str) -> StoredWording | None:
        """Return a wording, the question of an answer included, or None if the release has no such answer."""
        further = self._index.wording(wording_key)
        query_key = wording_key if further is None else self._index.answer_key(wording_key)
        stored = self._index.question(query_key) or self._index.withheld(query_key)
        if stored is None:
            return None
        anticipated = msgspec.json.decode(stored, type=Anticipated)
        text = anticipated.question if further is None else msgspec.json.decode(further, type=_Further).wording
        alone = further is None and not self._index.has_wordings(query_key)
        return StoredWording(text, wording_key, query_key, anticipated.question, anticipated.collection, alone)
