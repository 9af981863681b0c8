"""Takes decisions: checks each against the releases, records those that hold, and says what did not and why.

A decision is about the text that a person has read, so its fingerprint must be that of an answer of the current
release; an edit or a rejection, which follow the question, may also name an answer of an older release that is still
kept. Nothing is dropped silently, and a decision that can't hold does not keep the others from holding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from rag.prompting.citations import references
from rag.text.decoding import tidy
from warehouse.editorial.decisions import (
    Decision,
    Decisions,
    Standing,
    append_decisions,
    by_question,
    contrary,
    described,
    fault_of,
    repeated,
    standing_after,
)
from warehouse.editorial.evidence import Evidence, evidence_of
from warehouse.errors import TornReleaseError
from warehouse.releases.load import attach
from warehouse.releases.release import current, releases
from warehouse.sql import prepare, sql_text

_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Outcome:
    """What became of a decision: whether it holds, and a sentence, "" where there is nothing to add."""

    decision: Decision
    held: bool
    message: str = ""


@dataclass(frozen=True)
class _Answer:
    """An answer of a release, as a decision can be about it."""

    evidence: tuple[Evidence, ...]
    collection: str
    query_key: str
    fingerprint: str
    question: str
    text: str
    model: str | None


@dataclass(frozen=True)
class _Known:
    """What decisions are checked against: answers by query key and fingerprint, and what was decided so far."""

    collections: frozenset[str]
    current: Mapping[str, _Answer]
    older: Mapping[tuple[str, str], _Answer]
    owners: Mapping[str, str]
    made: Mapping[str, Sequence[Decision]]

    def answer(self, decision: Decision) -> _Answer | None:
        """Return the answer that a decision is about."""
        present = self.current.get(decision.query_key)
        if present is not None and present.fingerprint == decision.fingerprint:
            return present
        return self.older.get((decision.query_key, decision.fingerprint))


def decide(data: Path, decisions: Sequence[Decision]) -> list[Outcome]:
    """Record the decisions that hold, and return what became of each, in their order.

    Raises:
        NoReleaseError: nothing has been published.
        StorageError: the decisions can't be written.
    """
    known = _known(data, decisions)
    outcomes = _without_contradictions([_checked(decision, known) for decision in decisions])
    append_decisions(data, [each.decision for each in outcomes if each.held])
    return outcomes


def undo(data: Path, collection: str, query_key: str, reviewer: str) -> Outcome:
    """Take the last decision about a question back: what held before it holds again."""
    made = [each for each in history(data, query_key) if each.collection == collection]
    if not made or standing_after(made) is None:
        nothing = Decision(collection, query_key, "", "reconsider", reviewer)
        return Outcome(nothing, held=False, message="there is no decision to take back.")
    last, before = made[-1], standing_after(made[:-1])
    note = f"undoes what was {described(last)}"
    if before is None:
        record = Decision(collection, query_key, last.fingerprint, "reconsider", reviewer, note=note)
    else:
        record = replace(repeated(before, query_key, reviewer), note=note)
    append_decisions(data, [record])
    return Outcome(record, held=True, message=note)


def history(data: Path, query_key: str) -> list[Decision]:
    """Return every decision about a question, oldest first."""
    return list(by_question(Decisions(data).all()).get(query_key, ()))


def _without_contradictions(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Let none of those decisions hold that contradict another one of the same batch."""
    held: dict[str, list[Decision]] = {}
    for outcome in outcomes:
        if outcome.held:
            held.setdefault(outcome.decision.query_key, []).append(outcome.decision)
    return [_unless_contradicted(each, held.get(each.decision.query_key, ())) for each in outcomes]


def _unless_contradicted(outcome: Outcome, alike: Sequence[Decision]) -> Outcome:
    other = next((each for each in alike if outcome.held and contrary(outcome.decision, each)), None)
    if other is None:
        return outcome
    message = f"another row decides otherwise about the same question ({other.decision} by {other.reviewer})"
    return Outcome(outcome.decision, held=False, message=f"{message}: keep one of them.")


def _checked(decision: Decision, known: _Known) -> Outcome:
    decision = replace(decision, answer=tidy(decision.answer).strip() if decision.answer else None)
    fault = fault_of(decision) or _misplaced(decision, known) or _outdated(decision, known)
    if fault:
        return Outcome(decision, held=False, message=fault)
    made = known.made.get(decision.query_key, ())
    standing = standing_after(made)
    if decision.decision == "reconsider":
        if standing is None:
            return Outcome(decision, held=False, message="there is no decision to take back.")
        return Outcome(decision, held=True)
    answer = known.answer(decision)
    if answer is None:
        return Outcome(decision, held=False, message=_no_such_answer(decision, known))
    return _about(decision, answer, standing, known)


def _about(decision: Decision, answer: _Answer, standing: Standing | None, known: _Known) -> Outcome:
    """Check a decision about a known answer, and add what the reviewer saw of it."""
    present = known.current.get(decision.query_key)
    is_present = present is not None and present.fingerprint == decision.fingerprint
    seen = replace(
        decision,
        question=answer.question,
        about=answer.text,
        model=answer.model,
        sources=tuple(each.as_source() for each in answer.evidence),
    )
    if decision.decision == "edit":
        numbers = {each.number for each in answer.evidence}
        lost = sorted(set(references(decision.answer or "")) - numbers)
        if lost:
            listed = ", ".join(f"[{number}]" for number in sorted(numbers)) or "none"
            named = ", ".join(f"[{number}]" for number in lost)
            return Outcome(
                decision, held=False, message=f"{named} leads to no passage of the answer; its passages are {listed}."
            )
    if decision.decision == "approve" and not is_present:
        return Outcome(
            decision, held=False, message="the answer has changed since: look at it in a new export, then decide."
        )
    if decision.decision == "approve" and standing is not None and standing.decision == "edit":
        kept = replace(seen, decision="edit", answer=standing.answer)
        return Outcome(kept, held=True, message=f"the text {described(standing)} is what was approved, and stays.")
    return Outcome(seen, held=True, message="" if is_present else "the answer has changed since; it will be listed.")


def _misplaced(decision: Decision, known: _Known) -> str | None:
    """Return why a decision is about no question of the releases; None if it is about one."""
    if decision.collection not in known.collections:
        listed = ", ".join(sorted(known.collections))
        return f"there is no collection {decision.collection!r}; known are {listed}."
    owner = known.owners.get(decision.query_key)
    if owner is not None and owner != decision.collection:
        return f"the question belongs to the collection {owner!r}, not to {decision.collection!r}."
    if owner is not None:
        return None
    if decision.fingerprint in known.owners:
        return "the columns 'query_key' and 'fingerprint' are swapped."
    if not _HASH.fullmatch(decision.query_key):
        return _mangled("query_key", decision.query_key)
    return "no release has a question with this 'query_key': export again."


def _no_such_answer(decision: Decision, known: _Known) -> str:
    owner = next((each for each in known.current.values() if each.fingerprint == decision.fingerprint), None) or next(
        (each for (_, mark), each in known.older.items() if mark == decision.fingerprint), None
    )
    if owner is not None:
        return f"the fingerprint belongs to another question, {owner.question!r}: the rows' keys are swapped."
    if not _HASH.fullmatch(decision.fingerprint) or decision.fingerprint.endswith("0" * 12):
        return _mangled("fingerprint", decision.fingerprint)
    return "no release that is kept has an answer with this 'fingerprint': look at the answer in a new export."


def _mangled(column: str, found: str) -> str:
    return (
        f"{found!r} is no {column}: a spreadsheet has turned it into a number or cut it; export again, "
        f"and let it read the column '{column}' as text, or use .xlsx."
    )


def _outdated(decision: Decision, known: _Known) -> str | None:
    """Return who decided after the reviewer looked; None if nobody did, or if it is not known."""
    made = known.made.get(decision.query_key, ())
    if decision.seen is None or decision.seen >= len(made):
        return None
    return f"it was {described(made[-1])} since this was exported: look at it in a new export, then decide."


def _known(data: Path, decisions: Sequence[Decision]) -> _Known:
    present = current(data)
    keys = sorted({each.query_key for each in decisions} | {each.fingerprint for each in decisions})
    collections, owners, answers = _read(present.database, keys)
    found = {each.query_key: each for each in answers}
    older: dict[tuple[str, str], _Answer] = {}
    unknown = {each.fingerprint for each in decisions} - {each.fingerprint for each in answers}
    for release in reversed(releases(data)):
        if not unknown or release.release_id == present.release_id:
            continue
        try:
            others, owned, answers = _read(release.database, keys)
        except TornReleaseError:  # it can't be served, so that nobody can have read its answers
            continue
        collections, owners = collections | others, {**owned, **owners}
        older |= {(each.query_key, each.fingerprint): each for each in answers}
        unknown -= {each.fingerprint for each in answers}
    return _Known(collections, found, older, owners, by_question(Decisions(data).all()))


def _read(database: Path, keys: Sequence[str]) -> tuple[frozenset[str], dict[str, str], list[_Answer]]:
    """Return a release's collections, the collection of each question, and the answers that `keys` name."""
    with closing(duckdb.connect(":memory:")) as connection:
        prepare(connection)
        attach(connection, database, "release")
        connection.execute("USE release")
        names = connection.execute("SELECT DISTINCT collection FROM questions").fetchall()
        owned = connection.execute(
            "SELECT query_key, collection FROM questions WHERE list_contains(?, query_key)", [keys]
        ).fetchall()
        rows = connection.execute(sql_text("decided_answers.sql"), [keys, keys]).fetchall()
        evidence = evidence_of(connection, [row[1] for row in rows])
    answers = [_Answer(evidence.get(row[1], ()), *row) for row in rows]
    return frozenset(name for (name,) in names), dict(owned), answers
