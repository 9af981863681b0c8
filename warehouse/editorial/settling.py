"""Settling: a person's word on a text beside an answer, whatever a judge or a person said of it before.

What is accepted is a wording from the next release on. What is denied is a fence then, and does not get the answer at
once either, not even where the current release has it as a wording: running servers follow the tombstone of the pair.
A text about which somebody ruled after the person looked is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from rag.filters import Filters
from rag.identity import normalise, query_key
from warehouse.analysis.connection import connect
from warehouse.editorial.evidence import filters_of
from warehouse.editorial.withdrawal import Tombstones, tombstone, untombstone
from warehouse.editorial.wordings import Ruling, RulingKind, append_rulings, standing_rulings
from warehouse.errors import NoReleaseError

_SAID: Mapping[RulingKind, str] = {"wording": "a wording", "fence": "a fence", "doubtful": "in doubt"}


@dataclass(frozen=True)
class Word:
    """What a person says about a text beside the answer `query_key`; `seen` is what was ruled when they looked."""

    collection: str
    query_key: str
    text: str
    reviewer: str
    verdict: RulingKind
    seen: RulingKind = "doubtful"

    @property
    def about(self) -> tuple[str, str, str]:
        """What it is about, as rulings have it."""
        return self.collection, self.query_key, normalise(self.text)


def settle(data: Path, words: Sequence[Word]) -> list[str | None]:
    """Record what people say; return for each in one sentence why it does not hold, None if it does.

    A text keeps its origin, so what visitors typed is shown to nobody whatever is said of it.
    """
    standing = {each.about: each for each in standing_rulings(data)}
    faults: list[str | None] = []
    held: list[Ruling] = []
    for word in words:
        found = standing.get(word.about)
        fault = _fault(word, found)
        faults.append(fault)
        if found is not None and fault is None:
            said = replace(
                found, verdict=word.verdict, approved_by=word.reviewer, person=True, since="", confidence=None
            )
            standing[word.about] = said
            held.append(said)
    append_rulings(data, held)
    _at_once(data, held)
    return faults


def _fault(word: Word, found: Ruling | None) -> str | None:
    if found is not None and found.verdict == word.seen:
        return None
    now = (
        "nothing is ruled about it" if found is None else f"it is {_SAID[found.verdict]}, ruled by {found.approved_by}"
    )
    if word.seen == "doubtful":
        return f"nothing is in doubt about this wording any more; {now}."
    return f"the text is not {_SAID[word.seen]} of this answer any more; {now}."


def _at_once(data: Path, held: Sequence[Ruling]) -> None:
    """Keep what is denied from its answer in running servers, and let what is accepted get it again."""
    filters = _filters(data, [each.query_key for each in held])
    dead = Tombstones(data).pairs() if held else frozenset()
    for each in held:
        asked = query_key(each.collection, each.text, filters.get(each.query_key, ()))
        is_dead = frozenset((asked, each.query_key)) in dead
        if each.verdict == "fence" and not is_dead:
            tombstone(data, asked, each.query_key, f"another answer is wanted, says {each.approved_by}")
        elif each.verdict == "wording" and is_dead:
            untombstone(data, asked, each.query_key, f"a wording, says {each.approved_by}")


def _filters(data: Path, keys: Sequence[str]) -> Mapping[str, Filters]:
    if not keys:
        return {}
    try:
        with closing(connect(data, described=False)) as session:
            return filters_of(session, keys)
    except NoReleaseError:
        return {}
