"""What the review page asks of the warehouse: the queue, one question, and what a reviewer decides about it.

All of it blocks, so it runs in a thread. DuckDB is imported when the first reviewer comes: a service without reviewers
does without it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from online.pages.review_form import Submitted
from rag.filters import Filters
from rag.text.decoding import tidy
from warehouse.editorial.blind_pairs import Pair, judge
from warehouse.editorial.blind_pairs import waiting_pairs as pairs_of
from warehouse.editorial.decisions import Decision, Decisions, by_question, described, standing_after
from warehouse.editorial.listing import Listings, list_question
from warehouse.editorial.wordings import KINDS, Ruling, RulingKind, doubts, standing_rulings
from warehouse.errors import ReviewError

if TYPE_CHECKING:
    from warehouse.editorial.joining import Verdict
    from warehouse.editorial.queue import QueueItem
    from warehouse.editorial.twins import Twin

_FOUND = 50
_SAID: Mapping[str, RulingKind] = {"accept": "wording", "deny": "fence", "separate": "withdrawn"}


@dataclass(frozen=True)
class Case:
    """A question of the current release before a reviewer, with all that waits.

    `listed` is what a person decided about listing a question of visitors, None if nobody did. `wordings` are doubtful
    further ones, `known` and `fences` those that runs and people found, the newest first. `twin` is the question that
    has the same answer, `ruled` what a person ruled on the two ("join" or "apart").
    """

    item: QueueItem
    waiting: tuple[QueueItem, ...]
    history: tuple[Decision, ...]
    listed: bool | None
    wordings: tuple[Ruling, ...] = ()
    twin: Twin | None = None
    ruled: str | None = None
    known: tuple[Ruling, ...] = ()
    fences: tuple[Ruling, ...] = ()


@dataclass(frozen=True)
class Found:
    """A question that a reviewer looked for."""

    collection: str
    query_key: str
    question: str
    filters: Filters = ()


@dataclass(frozen=True)
class Judged:
    """The last decision about a question; `stands` says whether it can be taken back, `seen` counts the decisions."""

    decision: Decision
    stands: bool
    seen: int


@dataclass(frozen=True)
class Refusal:
    """Why a decision does not hold; `conflict` says that the reviewer saw something older."""

    message: str
    conflict: bool = False


def waiting(data: Path, collections: Collection[str]) -> list[QueueItem]:
    """Return what waits in some collections, the most urgent first.

    Raises:
        NoReleaseError: nothing has been published.
    """
    from warehouse.editorial.queue import queue

    return [item for item in queue(data, evidence=False) if item.collection in collections]


def reasons() -> Sequence[str]:
    """Return the reasons for which something waits, the most urgent first."""
    from warehouse.editorial.queue import REASONS

    return REASONS


def case(data: Path, collections: Collection[str], query_key: str) -> Case | None:
    """Return one question of the current release, whether it waits or not; None if there is no such question.

    Raises:
        NoReleaseError: nothing has been published.
    """
    from warehouse.editorial.queue import most_urgent_first, queue_and

    items = [item for item in queue_and(data, query_key, evidence=False) if item.collection in collections]
    found = next((item for item in items if item.query_key == query_key), None)
    if found is None:
        return None
    listings = Listings(data)
    listed = query_key in listings.approved() if query_key in listings.decided() else None
    mine = (each for each in standing_rulings(data) if each.query_key == query_key)
    ruled_on = sorted(mine, key=lambda each: each.since, reverse=True)
    wordings, known, fences = (
        tuple(each for each in ruled_on if each.verdict == kind) for kind in ("doubtful", "wording", "fence")
    )
    twin, ruled = _twin(data, found)
    history = tuple(_history(data, query_key))
    return Case(found, tuple(most_urgent_first(items)), history, listed, wordings, twin, ruled, known, fences)


def has_doubts(data: Path, query_key: str) -> bool:
    """Whether further wordings of a question wait for a person."""
    return any(each.query_key == query_key for each in doubts(data))


def _twin(data: Path, item: QueueItem) -> tuple[Twin | None, str | None]:
    """Return the question that has the answer of this one, and what a person ruled on the two."""
    from warehouse.analysis.connection import connect
    from warehouse.editorial.joining import ruled_on
    from warehouse.editorial.twins import twins

    with closing(connect(data, described=False)) as session:
        twin = next((each for each in twins(session) if each.query_key == item.query_key), None)
    return twin, None if twin is None else ruled_on(data, twin)


def find(data: Path, collections: Collection[str], text: str) -> list[Found]:
    """Return the questions that contain a text.

    Raises:
        NoReleaseError: nothing has been published.
    """
    from warehouse.analysis.connection import connect
    from warehouse.editorial.evidence import filters_of
    from warehouse.sql import sql_text

    with closing(connect(data, described=False)) as session:
        rows = session.execute(sql_text("find_questions.sql"), [list(collections), text, _FOUND]).fetchall()
        filters = filters_of(session, [key for _, key, _ in rows])
    return [Found(collection, key, question, filters.get(key, ())) for collection, key, question in rows]


def judged(data: Path, collections: Collection[str]) -> list[Judged]:
    """Return the last decision about each question, the newest first."""
    made = by_question(each for each in Decisions(data).all() if each.collection in collections)
    last = [Judged(each[-1], standing_after(each) is not None, len(each)) for each in made.values()]
    return sorted(last, key=lambda each: each.decision.reviewed_at, reverse=True)


def take_back(data: Path, collections: Collection[str], query_key: str, reviewer: str, seen: int) -> Refusal | None:
    """Take the last decision about a question back, also if the current release lacks the question."""
    from warehouse.editorial.review_desk import undo

    made = [each for each in _history(data, query_key) if each.collection in collections]
    if not made:
        return Refusal("There is no decision to take back.")
    if len(made) != seen:
        return _decided_meanwhile(made[-1])
    outcome = undo(data, made[-1].collection, query_key, reviewer)
    return None if outcome.held else Refusal(_sentence(outcome.message))


def waiting_pairs(data: Path, collections: Collection[str]) -> list[Pair]:
    """Return the pairs of answers that nobody has judged."""
    return pairs_of(data, collections)


def judge_pair(data: Path, collections: Collection[str], reviewer: str, name: str, better: str) -> Refusal | None:
    """Record which of two answers is better; return why it does not hold, None if it does."""
    if name not in {each.pair for each in pairs_of(data, collections)}:
        return Refusal("Somebody has judged this pair already.", conflict=True)
    fault = judge(data, name, better, reviewer)
    return None if fault is None else Refusal(_sentence(fault))


def act(data: Path, shown: Case, reviewer: str, submitted: Submitted) -> Refusal | None:
    """Record what a reviewer decides about a question; return why it does not hold, None if it does."""
    item = shown.item
    if submitted.action in ("list", "unlist"):
        return _list(data, shown, reviewer, listed=submitted.action == "list")
    if submitted.action in ("accept", "deny") or (submitted.action == "separate" and submitted.wording):
        return _settle(data, shown, reviewer, submitted)
    if submitted.action in ("join", "apart", "separate"):
        return _rule(data, shown, reviewer, submitted.action)
    if (refusal := _outdated(shown, submitted)) is not None:
        return refusal
    if submitted.action == "undo":
        return take_back(data, (item.collection,), item.query_key, reviewer, submitted.seen)
    return _mixed_up(shown, submitted) or _record(data, shown, reviewer, submitted)


def _settle(data: Path, shown: Case, reviewer: str, submitted: Submitted) -> Refusal | None:
    from warehouse.editorial.settling import Word, settle

    item, verdict = shown.item, _SAID[submitted.action]
    seen: RulingKind = next((kind for kind in KINDS if kind == submitted.ruled), "doubtful")
    (fault,) = settle(data, [Word(item.collection, item.query_key, submitted.wording, reviewer, verdict, seen)])
    return None if fault is None else Refusal(_sentence(fault), conflict=True)


def _outdated(shown: Case, submitted: Submitted) -> Refusal | None:
    """Refuse a decision about something older than what a reviewer would see now."""
    if len(shown.history) != submitted.seen:
        return (
            _decided_meanwhile(shown.history[-1]) if shown.history else Refusal("Open the page again.", conflict=True)
        )
    if submitted.action != "undo" and submitted.fingerprint != shown.item.fingerprint:
        return Refusal("A new release has another answer since you opened the page.", conflict=True)
    return None


def _mixed_up(shown: Case, submitted: Submitted) -> Refusal | None:
    """Refuse a decision that lacks its text, or that would drop something else that the reviewer filled in."""
    if submitted.action == "edit" and not _plain(submitted.text):
        return Refusal("An edit needs the text that visitors get: write it, or reject the answer.")
    if submitted.action != "edit" and not unchanged(submitted.text, shown.item.answer):
        return Refusal("You have changed the text: save it as your edit, or undo the change first.")
    if submitted.allow_live and submitted.action != "reject":
        return Refusal("“It may be answered live” belongs to a rejection: untick it, or reject the answer.")
    return None


def _record(data: Path, shown: Case, reviewer: str, submitted: Submitted) -> Refusal | None:
    from warehouse.editorial.queue import confirmation
    from warehouse.editorial.review_desk import decide

    item, note = shown.item, submitted.note.strip() or None
    if submitted.action == "confirm":
        repeated = confirmation(item, reviewer)
        if repeated is None:
            return Refusal("Nothing was decided about this question before.")
        decision = replace(repeated, note=note)
    else:
        decision = Decision(
            item.collection,
            item.query_key,
            item.fingerprint,
            "edit" if submitted.action == "edit" else "reject" if submitted.action == "reject" else "approve",
            reviewer,
            submitted.text if submitted.action == "edit" else None,
            note,
            submitted.allow_live,
            seen=submitted.seen,
        )
    (outcome,) = decide(data, [decision])
    if outcome.held:
        return None
    made = _history(data, item.query_key)
    if len(made) != submitted.seen:  # somebody decided between the two looks
        return _decided_meanwhile(made[-1])
    return Refusal(_sentence(outcome.message))


def _list(data: Path, shown: Case, reviewer: str, *, listed: bool) -> Refusal | None:
    waits = any(each.kind == "asked by visitors" for each in shown.item.reasons)
    if not waits and shown.listed is None:
        return Refusal("No visitor asked this question.")
    if shown.listed is listed:
        return Refusal("The question is listed already." if listed else "The question is unlisted already.")
    list_question(data, shown.item.collection, shown.item.query_key, reviewer, listed=listed)
    return None


def _rule(data: Path, shown: Case, reviewer: str, verdict: Verdict) -> Refusal | None:
    from warehouse.editorial.joining import rule

    if shown.twin is None:
        return Refusal("No other question has this answer any more.", conflict=True)
    if verdict != "separate" and shown.ruled is not None:
        return Refusal("Somebody has ruled on the two questions already.", conflict=True)
    try:
        rule(data, shown.twin, reviewer, verdict)
    except ReviewError as error:
        return Refusal(str(error))
    return None


def unchanged(text: str, answer: str) -> bool:
    """Whether a form's text is the answer that it was filled with."""
    return _plain(text) == _plain(answer)


def _plain(text: str) -> str:
    return tidy(text.replace("\r\n", "\n")).strip()


def _history(data: Path, query_key: str) -> Sequence[Decision]:
    return by_question(Decisions(data).all()).get(query_key, ())


def _decided_meanwhile(last: Decision) -> Refusal:
    verb = "The decision was" if last.decision == "reconsider" else "The answer was"
    return Refusal(f"{verb} {described(last)}, after you had opened the page.", conflict=True)


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]
