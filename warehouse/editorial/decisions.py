"""Decisions of reviewers: what people said about the answer to a question, and what of it holds.

The file `<data>/reviews.jsonl` is append-only; running servers follow it, so a decision takes effect at once, and it is
not part of a release, so it holds after a rollback too. What holds for a question is its last decision:

    reject      the question stays withheld, whatever its answer has become since
    edit        the reviewer's text is the answer, whatever is generated since
    approve     the answer is served for as long as its fingerprint is the same
    reconsider  takes the decision back; the rules of the audit hold again

Several approvals in a row each hold for their own fingerprint, so that one survives a rollback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from rag.identity import equivalent_keys
from warehouse.append_log import Follower, append
from warehouse.editorial.sources import Source
from warehouse.errors import ReviewError
from warehouse.log_line import Record

Kind = Literal["approve", "edit", "reject", "reconsider"]
Verdict = Literal["approve", "edit", "reject"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Decision:
    """One record of the file; `answer` is the text of an edit, `allow_live` belongs to a rejection.

    `question`, `about` (the text that was decided about), `model` and `sources` are what the reviewer saw. `seen` (not
    recorded) is how many decisions about the question there were then, None if that is not known.
    """

    collection: str
    query_key: str
    fingerprint: str
    decision: Kind
    reviewer: str
    answer: str | None = None
    note: str | None = None
    allow_live: bool = False
    reviewed_at: str = ""
    question: str | None = None
    about: str | None = None
    model: str | None = None
    sources: tuple[Source, ...] = ()
    seen: int | None = None


@dataclass(frozen=True)
class Standing:
    """What holds for a question; `approved` are the fingerprints that approvals hold for.

    `question`, `about`, `model` and `sources` are what the reviewer saw; older records lack them.
    """

    decision: Verdict
    fingerprint: str
    answer: str | None
    allow_live: bool
    reviewer: str
    reviewed_at: str
    note: str | None
    collection: str = ""
    question: str | None = None
    about: str | None = None
    model: str | None = None
    sources: tuple[Source, ...] = ()
    approved: frozenset[str] = frozenset()

    def verdict(self, fingerprint: str) -> Verdict | None:
        """Return what holds for an answer with this fingerprint; None if an approval lapsed."""
        if self.decision == "approve" and fingerprint not in self.approved:
            return None
        return self.decision


def decisions_file(data: Path) -> Path:
    """Return where decisions are appended."""
    return data / "reviews.jsonl"


class Decisions:
    """The decisions of a data folder; a server polls `changed` and then calls `standing`."""

    def __init__(self, data: Path) -> None:
        """Follow the decisions of a data folder."""
        self._log = Follower(decisions_file(data))

    def changed(self) -> bool:
        """Whether there are new decisions; costs one `stat`."""
        return self._log.changed()

    def all(self) -> list[Decision]:
        """Return every readable decision, oldest first."""
        return [decision for record in self._log.records() if (decision := _decision(record)) is not None]

    def standing(self) -> Mapping[str, Standing]:
        """Return what holds, by query key; also by those that the question has in older and newer releases."""
        found: dict[str, Standing] = {}
        for decision in self.all():
            for key in _keys(decision):
                standing = _after(found.get(key), decision)
                if standing is None:
                    found.pop(key, None)
                else:
                    found[key] = standing
        return found


def _keys(decision: Decision) -> tuple[str, ...]:
    if decision.question is None:  # recorded before decisions held their question
        return (decision.query_key,)
    return equivalent_keys(decision.collection, decision.question, decision.query_key)


def standing_after(decisions: Iterable[Decision]) -> Standing | None:
    """Return what holds after the decisions about one question, oldest first."""
    standing = None
    for decision in decisions:
        standing = _after(standing, decision)
    return standing


def _after(before: Standing | None, decision: Decision) -> Standing | None:
    if decision.decision == "reconsider":
        return None
    approved: frozenset[str] = frozenset()
    if decision.decision == "approve":
        earlier = before.approved if before is not None and before.decision == "approve" else frozenset()
        approved = earlier | {decision.fingerprint}
    return Standing(
        decision.decision,
        decision.fingerprint,
        decision.answer,
        decision.allow_live,
        decision.reviewer,
        decision.reviewed_at,
        decision.note,
        decision.collection,
        decision.question,
        decision.about,
        decision.model,
        decision.sources,
        approved,
    )


def by_question(decisions: Iterable[Decision]) -> Mapping[str, list[Decision]]:
    """Return the decisions about each question, oldest first, by query key."""
    found: dict[str, list[Decision]] = {}
    for decision in decisions:
        found.setdefault(decision.query_key, []).append(decision)
    return found


def disagreement(decisions: Sequence[Decision]) -> str | None:
    """Return in one sentence how the last two decisions about a question contradict each other; None if they don't.

    It is settled as soon as either person decides again.
    """
    if len(decisions) < 2:
        return None
    before, last = decisions[-2:]
    same = before.reviewer == last.reviewer or before.fingerprint != last.fingerprint
    if same or "reconsider" in (before.decision, last.decision) or not contrary(before, last):
        return None
    return f"{described(last)} after it was {described(before)}"


def contrary(one: Decision, other: Decision) -> bool:
    """Whether two decisions about one question can't both hold."""
    return (one.decision, one.answer, one.allow_live) != (other.decision, other.answer, other.allow_live)


def repeated(standing: Standing, query_key: str, reviewer: str) -> Decision:
    """Return a decision like the one that stands, by another reviewer."""
    return Decision(
        standing.collection,
        query_key,
        standing.fingerprint,
        standing.decision,
        reviewer,
        standing.answer,
        allow_live=standing.allow_live,
        question=standing.question,
        about=standing.about,
        model=standing.model,
        sources=standing.sources,
    )


_DONE = {"approve": "approved", "edit": "edited", "reject": "rejected", "reconsider": "taken back"}


def described(made: Decision | Standing) -> str:
    """Return what was decided, by whom and when: "rejected by Ada on 2026-11-20"."""
    return f"{_DONE[made.decision]} by {made.reviewer}" + (f" on {made.reviewed_at[:10]}" if made.reviewed_at else "")


def append_decisions(data: Path, decisions: Sequence[Decision]) -> list[Decision]:
    """Append decisions durably, all or none, with the time; return them as recorded.

    Raises:
        ReviewError: one is incomplete or contradicts itself.
    """
    for decision in decisions:
        if (fault := fault_of(decision)) is not None:
            raise ReviewError(fault)
    time = datetime.now(UTC).isoformat(timespec="microseconds")
    recorded = [replace(each, reviewed_at=each.reviewed_at or time) for each in decisions]
    if recorded:
        append(decisions_file(data), [_as_record(each) for each in recorded])
    return recorded


def fault_of(decision: Decision) -> str | None:
    """Return what is wrong with a decision in itself, in one sentence; None if nothing is."""
    kind = decision.decision
    if kind not in KINDS:
        return f"the decision {kind!r} is none of {', '.join(KINDS)}."
    for name in ("collection", "query_key", "fingerprint"):
        if not getattr(decision, name):
            return f"the column {name!r} is empty or missing."
    if not decision.reviewer.strip():
        return "no reviewer is named: a decision is recorded with the name of a person."
    return _contradiction(kind, decision)


def _contradiction(kind: Kind, decision: Decision) -> str | None:
    has_text = bool(decision.answer and decision.answer.strip())
    if kind == "edit" and not has_text:
        return "an edit needs the text of the answer in the column 'new_answer'."
    if kind != "edit" and has_text:
        return f"there is a new text, which the decision {kind!r} would drop: write 'edit' to serve it."
    if decision.allow_live and kind != "reject":
        return f"'allow_live' belongs to a rejection, not to the decision {kind!r}."
    return None


def _as_record(decision: Decision) -> Record:
    """Return a record; the fields that only some decisions have are left out where they are empty."""
    record = asdict(replace(decision, seen=None))
    return {name: value for name, value in record.items() if value or name in ("answer", "note")}


def _decision(record: Record) -> Decision | None:
    """Return the decision of a record, or None if it says nothing; older records lack the newer fields."""
    kind, answer = record.get("decision"), _text(record.get("answer"))
    if kind not in KINDS or not record.get("query_key") or (kind == "edit" and answer is None):
        return None
    return Decision(
        collection=str(record.get("collection") or ""),
        query_key=str(record["query_key"]),
        fingerprint=str(record.get("fingerprint") or ""),
        decision=kind,
        reviewer=str(record.get("reviewer") or "unknown"),
        answer=answer if kind == "edit" else None,
        note=_text(record.get("note")),
        allow_live=kind == "reject" and record.get("allow_live") is True,
        reviewed_at=str(record.get("reviewed_at") or ""),
        question=_text(record.get("question")),
        about=_text(record.get("about")),
        model=_text(record.get("model")),
        sources=_sources(record.get("sources")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


_SOURCE_TEXTS = ("kind", "document_id", "chunk_id", "title", "uri", "heading", "content_hash")


def _sources(listed: object) -> tuple[Source, ...]:
    if not isinstance(listed, list):
        return ()
    return tuple(
        Source(
            each["number"],
            *(str(each.get(name) or "") for name in _SOURCE_TEXTS),
        )
        for each in listed
        if isinstance(each, dict) and isinstance(each.get("number"), int)
    )
