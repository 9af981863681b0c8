"""Imports reviewed files: the rows that hold, and for each of the others a sentence that says why it does not.

Decisions are checked and recorded by `editorial/review_desk.py`, as on the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from rag.text.table_files import as_flag
from warehouse.editorial.blind_pairs import judge
from warehouse.editorial.decisions import Decision, Decisions, Kind, Standing, repeated
from warehouse.editorial.near_misses import Label, label_of, record_labels
from warehouse.editorial.review_desk import decide
from warehouse.editorial.review_files import COLUMNS, KINDS, ReviewRow, UnreadableRow, kind_of, read_rows
from warehouse.editorial.ruled_wordings import settle_rows
from warehouse.errors import ReviewError


@dataclass(frozen=True)
class RowOutcome:
    """What became of a row of a file, by its number without the header; `message` is a sentence or ""."""

    row: int
    question: str
    held: bool
    message: str


@dataclass(frozen=True)
class Imported:
    """The counts of what holds (decisions by kind, labelled pairs), of undecided rows, and what became of each row.

    `wordings` counts those that were accepted or denied, `verdicts` those about pairs of answers.
    """

    decisions: Mapping[str, int]
    pairs: int
    undecided: int
    rows: Sequence[RowOutcome] = ()
    wordings: int = 0
    verdicts: int = 0

    @property
    def refused(self) -> Sequence[RowOutcome]:
        """The rows that did not hold."""
        return [each for each in self.rows if not each.held]


def import_reviews(data: Path, source: Path, reviewer: str) -> Imported:
    """Import decisions, or labels of near-misses, from a file: the rows that hold, and the reasons of the others.

    `reviewer` is the default for rows that name no reviewer.

    Raises:
        ReviewError: the file can't be read, or is no review file.
        NoReleaseError: nothing has been published that decisions could be about.
    """
    rows = read_rows(source, COLUMNS)
    readable = {number: row for number, row in enumerate(rows, start=1) if isinstance(row, dict)}
    torn = [
        RowOutcome(number, "", held=False, message=row.reason)
        for number, row in enumerate(rows, start=1)
        if isinstance(row, UnreadableRow)
    ]
    if any("same" in row for row in readable.values()):
        return _import_pairs(data, readable, torn, reviewer)
    if any("accept" in row for row in readable.values()):
        return _import_wordings(data, readable, torn, reviewer)
    if any("better" in row for row in readable.values()):
        return _import_verdicts(data, readable, torn, reviewer)
    if readable and not any("decision" in row for row in readable.values()):
        raise ReviewError(f"{source}: there is neither a column 'decision' nor 'same' nor 'accept' nor 'better' in it.")
    return _import_decisions(data, readable, torn, reviewer)


def _import_decisions(data: Path, rows: Mapping[int, ReviewRow], torn: Sequence[RowOutcome], reviewer: str) -> Imported:
    standing = Decisions(data).standing()
    read = {number: _decision(row, reviewer, standing.get(row.get("query_key", ""))) for number, row in rows.items()}
    decided = {number: each for number, each in read.items() if isinstance(each, Decision)}
    outcomes = decide(data, list(decided.values())) if decided else []
    found = [
        RowOutcome(number, rows[number].get("question", ""), outcome.held, outcome.message)
        for number, outcome in zip(decided, outcomes, strict=True)
    ]
    found += [
        RowOutcome(number, rows[number].get("question", ""), held=False, message=each)
        for number, each in read.items()
        if isinstance(each, str)
    ]
    held = [outcome.decision.decision for outcome in outcomes if outcome.held]
    counts = {kind: held.count(kind) for kind in get_args(Kind) if kind != "reconsider" or kind in held}
    undecided = sum(each is None for each in read.values())
    return Imported(counts, 0, undecided, _in_order(found, torn))


def _in_order(found: Sequence[RowOutcome], torn: Sequence[RowOutcome]) -> list[RowOutcome]:
    return sorted([*found, *torn], key=lambda each: each.row)


def _decision(row: ReviewRow, reviewer: str, standing: Standing | None) -> Decision | str | None:
    """Return the decision of a row, None if it is undecided, or a sentence that says why it is neither."""
    kind = kind_of(row)
    if not kind:
        typed = "a new text" if row.get("new_answer") else "a note" if row.get("note") else None
        return None if typed is None else f"there is {typed} but no decision: write one of {', '.join(KINDS)}."
    if kind not in KINDS:
        return f"the decision {row['decision']!r} is none of {', '.join(KINDS)}."
    allow_live = as_flag(row["allow_live"]) if row.get("allow_live") else False
    if allow_live is None:
        return f"'allow_live' is {row['allow_live']!r}, which is neither yes nor no."
    made = Decision(
        row.get("collection", ""),
        row.get("query_key", ""),
        row.get("fingerprint", ""),
        "approve",
        row.get("reviewer") or reviewer,
        row.get("new_answer") or None,
        row.get("note") or None,
        allow_live,
        seen=_count(row.get("decisions", "")),
    )
    if kind == "confirm":
        return _confirming(made, standing)
    return replace(made, decision=next(each for each in get_args(Kind) if each == kind))


def _confirming(made: Decision, standing: Standing | None) -> Decision | str:
    """Return the standing decision again, by this reviewer and for the answer as it is now."""
    if standing is None:
        return "there is no earlier decision to confirm."
    if made.answer:
        return "there is a new text, which the decision 'confirm' would drop: write 'edit' to serve it."
    again = repeated(standing, made.query_key, made.reviewer)
    return replace(again, fingerprint=made.fingerprint, note=made.note, seen=made.seen)


def _count(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def _import_pairs(data: Path, rows: Mapping[int, ReviewRow], torn: Sequence[RowOutcome], reviewer: str) -> Imported:
    labels = {number: label for number, row in rows.items() if (label := label_of(row)) is not None}
    contradicted = set(_contradicted(list(labels.values())))
    faults = {
        number: label.fault or (_OTHERWISE if frozenset((label.a, label.b)) in contradicted else "")
        for number, label in labels.items()
    }
    good = [label for number, label in labels.items() if not faults[number]]
    record_labels(data, good, reviewer)
    found = [RowOutcome(number, labels[number].a, not fault, fault) for number, fault in faults.items()]
    return Imported({}, len(good), len(rows) - len(labels), _in_order(found, torn))


def _import_wordings(data: Path, rows: Mapping[int, ReviewRow], torn: Sequence[RowOutcome], reviewer: str) -> Imported:
    faults = settle_rows(data, rows, reviewer)
    found = [RowOutcome(number, rows[number].get("wording", ""), not fault, fault) for number, fault in faults.items()]
    held = sum(not fault for fault in faults.values())
    return Imported({}, 0, len(rows) - len(faults), _in_order(found, torn), wordings=held)


def _import_verdicts(data: Path, rows: Mapping[int, ReviewRow], torn: Sequence[RowOutcome], reviewer: str) -> Imported:
    faults = {
        number: judge(data, row.get("pair", ""), row["better"], row.get("reviewer") or reviewer, row.get("note", ""))
        for number, row in rows.items()
        if row.get("better")
    }
    found = [
        RowOutcome(number, rows[number].get("question", ""), fault is None, fault or "")
        for number, fault in faults.items()
    ]
    held = sum(fault is None for fault in faults.values())
    return Imported({}, 0, len(rows) - len(faults), _in_order(found, torn), verdicts=held)


_OTHERWISE = "another row labels the same pair otherwise: keep one of them."


def _contradicted(labels: Sequence[Label]) -> Iterator[frozenset[str]]:
    """Yield the pairs that have both labels."""
    said: dict[frozenset[str], bool] = {}
    for label in labels:
        pair = frozenset((label.a, label.b))
        if not label.fault and said.setdefault(pair, label.same) != label.same:
            yield pair
