"""The prepared answers of the release that may be served, and to whom.

A stored answer may have been withdrawn, rejected or edited by a person, or be too old. All that shows a prepared
answer, or a question that has one, asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from online.answering.question import Asked, Prepared
from online.answering.withholding import Withholding
from online.errors import Problem
from online.release.stored_heads import Head, decode_head
from rag.filters import Filters
from rag.identity import query_key as key_of
from rag.paraphrase.everyday import without_courtesy

if TYPE_CHECKING:
    from online.release.current_release import CurrentRelease
    from online.release.listed import Listed
    from online.release.open_release import OpenRelease
    from online.release.reviewed import Reviewed
    from online.release.withdrawn import Withdrawn


@dataclass(frozen=True)
class PreparedAnswers:
    """Finds prepared answers, and says which may be served."""

    current: CurrentRelease
    withdrawn: Withdrawn
    reviewed: Reviewed
    listed: Listed
    withholding: Withholding

    def release(self) -> OpenRelease:
        """Return the release that is served now.

        Raises:
            Problem: there is none yet.
        """
        release = self.current.get()
        if release is None:
            raise Problem("no-release", "Nothing has been published yet; run `beforehand run` first.", retry_after=10)
        return release

    def exact(self, asked: Asked) -> Prepared | None:
        """Return the answer to this very question, if there is one; a few microseconds, without a thread.

        Where the question may not be listed it is repeated in the caller's words, not in those of another visitor.
        """
        release = self.release()
        asked = keyed(asked, release)
        found = self.find(release, asked.collection, asked.query_key)
        if found is None or self.reviewed.standing(asked.query_key) is not None:
            found = self._worded(release, asked) or found
        elif not self.listed.allows(release, asked.query_key):
            return _repeated(found, asked, {"listed": False})
        return found

    def _worded(self, release: OpenRelease, asked: Asked) -> Prepared | None:
        """Return the answer to the question of which this one is a further wording, unless it was a false hit."""
        key = release.index.answer_key(asked.query_key)
        if key == asked.query_key or self.withdrawn.tombstoned(asked.query_key, key):
            return None
        found = self.find(release, asked.collection, key)
        if found is None:
            return None
        if not self.listed.allows(release, key):
            return replace(_repeated(found, asked, {"listed": False}), wording_key=asked.query_key)
        primary = msgspec.json.decode(found.body)["question"]
        return replace(_repeated(found, asked, {"matched_question": primary}), wording_key=asked.query_key)

    def find(self, release: OpenRelease, collection: str, query_key: str) -> Prepared | None:
        """Return the answer to an anticipated question as people decided, or None if it may not be served."""
        body = self.reviewed.answer(release.index, query_key)
        if body is None:
            return None
        head = decode_head(body)
        if not self._may_serve(release, collection)(head):
            return None
        if self.withholding.repeats_rejected(release, collection, query_key, body):
            return None
        return Prepared(body, head, release.release_id)

    def _may_serve(self, release: OpenRelease, collection: str) -> Callable[[Head], bool]:
        """Return the test whether an answer belongs to a collection, rests on no withdrawn document, is not too old."""
        foreign = collection in release.unfiltered
        max_age, touches = self.withholding.collections[collection].max_age, self.withdrawn.touching(collection)

        def may_serve(head: Head) -> bool:
            if foreign or head.collection != collection or head.expired(max_age):
                return False
            return touches is None or not touches(head.documents)

        return may_serve

    def is_served(self, release: OpenRelease, collection: str, query_key: str) -> bool:
        """Whether an anticipated question has an answer that may be served."""
        return self.serves(release, collection)(query_key)

    def serves(self, release: OpenRelease, collection: str) -> Callable[[str], bool]:
        """Return the test of `is_served`; a search asks it of dozens, and what holds for all is found out once."""
        standing, before_reviews, find = self.reviewed.standing, release.index.before_reviews, release.heads.find
        rejects_words = self.withholding.rejects_words(release, collection)
        may_serve = self._may_serve(release, collection)

        def serves(query_key: str) -> bool:
            if rejects_words or query_key in before_reviews or standing(query_key) is not None:
                return self.find(release, collection, query_key) is not None
            head = find(query_key)
            return head is not None and may_serve(head)

        return serves

    def is_listed(self, release: OpenRelease, collection: str, query_key: str) -> bool:
        """Whether an anticipated question may be shown to others than who asks it.

        Every list, page and suggestion asks here; the search for semantic hits has the same rule in `_usable`.
        """
        return self.listed.allows(release, query_key) and self.is_served(release, collection, query_key)

    def is_shown(self, release: OpenRelease, collection: str, query_key: str, filters: Filters) -> bool:
        """Whether an anticipated question may be shown to who asks with these filters: it may have no other ones."""
        return self.is_listed(release, collection, query_key) and release.is_open_to(collection, query_key, filters)

    def usable(self, release: OpenRelease, asked: Asked) -> Callable[[str], bool]:
        """Return the test whether the answer to an anticipated question may be served to the one asked.

        A fence and a report of a false hit hold for the same question with a greeting or "please" around it, too.
        """
        serves, keys = self.serves(release, asked.collection), _keys_without_courtesy(release, asked)
        fenced = frozenset().union(*map(release.index.fenced_from, keys))
        apart = [each for each in map(self.withdrawn.apart_from, keys) if each is not None]
        if not fenced and not apart and not release.index.asked_by_visitors:
            return serves  # as nearly always, and it is asked of dozens
        return lambda key: (
            key not in fenced
            and self.listed.allows(release, key)
            and serves(key)
            and not any(is_apart(key) for is_apart in apart)
        )

    def bars(self, release: OpenRelease, asked: Asked, query_key: str) -> bool:
        """Whether a question bars others that ask the same; what a visitor typed does so by a person's word alone."""
        reason = self.withholding.reason(release, asked.collection, query_key)
        if reason is None or self.withdrawn.tombstoned(asked.query_key, query_key):
            return False
        return reason == "rejected" or self.listed.allows(release, query_key)


def keyed(asked: Asked, release: OpenRelease) -> Asked:
    """Return a question under the key that it has in a release."""
    known = asked.query_key
    key = release.key_of(asked.collection, asked.question, known, asked.filters) if known else ""
    return asked if key == known else replace(asked, query_key=key)


def _keys_without_courtesy(release: OpenRelease, asked: Asked) -> set[str]:
    """Return the keys of a question as it was asked and without the courtesies around it."""
    bare = without_courtesy(asked.question)
    if bare == asked.question:
        return {asked.query_key}
    today = key_of(asked.collection, bare, asked.filters)
    return {asked.query_key, release.key_of(asked.collection, bare, today, asked.filters)}


def _repeated(found: Prepared, asked: Asked, also: dict[str, object]) -> Prepared:
    """Return an answer that repeats the question in the caller's words."""
    fields = msgspec.json.decode(found.body) | {"question": asked.question} | also
    return replace(found, body=msgspec.json.encode(fields))
