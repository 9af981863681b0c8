"""What must not be said, and what a caller is told instead.

Two kinds of questions are withheld: those whose answer a person rejected, and those whose answer the audit withheld.
The collection's `when_withheld` says what they get; a rejected one is answered live only if the person allowed it. The
rule is applied when a question is looked up, when one that asks the same is found, and once more when a live answer is
about to be sent, since a person may have decided meanwhile. A live answer is also refused for what it is: if it has the
fingerprint of a rejected answer, or its words, alone or among others. Texts of fewer words than `_TELLING` say too
little to be recognised.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from online.answering.question import Opening, Sought, Unanswered
from online.errors import Suggestion
from online.http.schemas import Handover, UnansweredSource
from rag.prompting.citations import bare_words
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    from online.release.open_release import OpenRelease
    from online.release.reviewed import Reviewed
    from rag.collection_settings import CollectionSettings
    from warehouse.editorial.decisions import Standing

_WITHHELD = "The team has withheld the answer to this question."
_UNRELIABLE = "There is no reliable answer to this question."
_TELLING = 4


class _Text(msgspec.Struct):
    """The part of a stored answer that can be recognised, and who wrote it."""

    answer: str
    collection: str
    origin: str = "generated"


@dataclass(frozen=True)
class _KnownTexts:
    """The words of the rejected answers, by collection: as the release has them, and as people saw them.

    `repeats` remembers which prepared answers have them, by query key.
    """

    release_id: str
    of: Mapping[str, Standing]
    texts: Mapping[str, frozenset[str]]
    repeats: dict[str, bool] = field(default_factory=dict)


@dataclass
class Withholding:
    """Applies the decisions of people and of the audit, by the settings of each collection."""

    reviewed: Reviewed
    collections: Mapping[str, CollectionSettings]
    _known: _KnownTexts | None = None

    def reason(self, release: OpenRelease, collection: str, query_key: str) -> str | None:
        """Return why a question has no answer to show, not even a live one, or None; a wording has its answer's."""
        query_key = release.index.answer_key(query_key)
        standing = self.reviewed.standing(query_key)
        if standing is not None and standing.decision == "reject":
            return None if standing.allow_live else "rejected"
        if self.collections[collection].when_withheld == "live":
            return None
        index = release.index
        stored = index.withheld(query_key) or (query_key in index.before_reviews and index.answer(query_key))
        return "withheld" if stored and self.reviewed.answer(index, query_key) is None else None

    def objection(self, release: OpenRelease, collection: str, query_key: str, opening: Opening) -> str | None:
        """Return why a live answer that has begun must not go on, or None."""
        if opening.fingerprint in self.reviewed.rejected_fingerprints:
            return "rejected"
        return self.reason(release, collection, query_key)

    def follow(self) -> None:
        """Read what people decided in this very moment; the poller reports a file that can't be read."""
        with contextlib.suppress(OSError, WarehouseError):
            self.reviewed.follow()

    def rejects_words(self, release: OpenRelease, collection: str) -> bool:
        """Whether there are words that a person rejected in this collection."""
        return bool(self._rejected_texts(release).get(collection))

    def has_rejected_words(self, release: OpenRelease, collection: str, words: str) -> bool:
        """Whether the bare words of a text hold those of an answer that a person rejected in this collection."""
        texts = self._rejected_texts(release).get(collection, ())
        return any(f" {each} " in f" {words} " for each in texts)

    def repeats_rejected(self, release: OpenRelease, collection: str, query_key: str, body: bytes) -> bool:
        """Whether the generated answer to another question has the words of one that a person rejected.

        A person who approved or wrote an answer to this question has decided about it.
        """
        known = self._rejected_words(release)
        if not known.texts.get(collection) or self.reviewed.standing(query_key) is not None:
            return False
        found = known.repeats.get(query_key)
        if found is None:
            stored = msgspec.json.decode(body, type=_Text)
            found = stored.origin == "generated" and self.has_rejected_words(
                release, collection, bare_words(stored.answer)
            )
            known.repeats[query_key] = found
        return found

    def _rejected_texts(self, release: OpenRelease) -> Mapping[str, frozenset[str]]:
        return self._rejected_words(release).texts

    def _rejected_words(self, release: OpenRelease) -> _KnownTexts:
        rejected = self.reviewed.rejected
        if self._known is None or self._known.release_id != release.release_id or self._known.of is not rejected:
            self._known = _KnownTexts(release.release_id, rejected, _texts(release, rejected))
        return self._known

    def told(
        self,
        collection: str,
        source: UnansweredSource,
        reason: str,
        release_id: str,
        suggestions: Sequence[Suggestion] = (),
        sought: Sought | None = None,
    ) -> Unanswered:
        """Return what the caller is told: the team's words where the collection hands over, else a sentence."""
        settings = self.collections[collection]
        handover = None
        if settings.handover_text or settings.handover_url:
            handover = Handover(settings.handover_text or settings.handover_url or "", settings.handover_url)
        if source == "withheld" and settings.when_withheld != "handover":
            handover = None
        sentence = _WITHHELD if source == "withheld" else _UNRELIABLE
        text = handover.text if handover is not None and source == "withheld" else sentence
        return Unanswered(source, reason, text, handover, tuple(suggestions), release_id, sought)


def _texts(release: OpenRelease, rejected: Mapping[str, Standing]) -> Mapping[str, frozenset[str]]:
    texts: dict[str, set[str]] = {}
    for key, standing in rejected.items():
        body = release.index.answer(key) or release.index.withheld(key)
        stored = None if body is None else msgspec.json.decode(body, type=_Text)
        if stored is not None:
            texts.setdefault(stored.collection, set()).add(bare_words(stored.answer))
        if standing.about is not None:  # the release may have another answer since
            texts.setdefault(standing.collection, set()).add(bare_words(standing.about))
    return {name: frozenset(each for each in some if each.count(" ") >= _TELLING - 1) for name, some in texts.items()}
