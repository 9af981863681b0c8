"""Rulings on texts near an answer: further wordings of its question, fences, and what waits for a person.

The nightly run and people append them to `<data>/wordings.jsonl` and, fences, to `<data>/fences.jsonl`. Neither is part
of a release, so a ruling outlives releases and rollbacks. About a text beside an answer the last ruling stands:

    wording     the text asks for this answer: it is one of its wordings in the next release
    fence       the text is near this answer and must not get it
    doubtful    the judge is not sure; a person decides, and until then the text is neither
    withdrawn   nothing is known of the text any more

A person's ruling is replaced by another person's only, never by a judge's. Texts are compared as questions are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from rag.identity import normalise
from warehouse.append_log import append
from warehouse.errors import ReviewError
from warehouse.log_line import Record, read

RulingKind = Literal["wording", "fence", "doubtful", "withdrawn"]
Origin = Literal["list", "curated", "journal", "model", "review", "judge"]
KINDS: tuple[RulingKind, ...] = get_args(RulingKind)
ORIGINS: tuple[Origin, ...] = get_args(Origin)


@dataclass(frozen=True)
class Ruling:
    """One record of the files: what `text` is to the answer of the question `query_key`.

    `origin` is where the text comes from; what visitors typed (`journal`) is never shown to others. `approved_by` names
    the judge or, where `person` is true, the person. `confidence` is the judge's probability that the answer fits.
    """

    collection: str
    query_key: str
    text: str
    verdict: RulingKind
    origin: Origin
    approved_by: str
    since: str = ""
    person: bool = False
    confidence: float | None = None

    @property
    def about(self) -> tuple[str, str, str]:
        """What the ruling is about: of several with the same the last one stands."""
        return self.collection, self.query_key, normalise(self.text)


def wordings_file(data: Path) -> Path:
    """Return where all rulings but fences are appended."""
    return data / "wordings.jsonl"


def fences_file(data: Path) -> Path:
    """Return where fences are appended."""
    return data / "fences.jsonl"


def append_rulings(data: Path, rulings: Sequence[Ruling]) -> list[Ruling]:
    """Append rulings durably, with the time; return them as recorded.

    Raises:
        ReviewError: one is incomplete; none is recorded then.
        StorageError: the disk is full or a file can't be written.
    """
    for each in rulings:
        if (fault := fault_of(each)) is not None:
            raise ReviewError(f"A ruling on {each.text!r} can't be recorded: {fault}")
    time = datetime.now(UTC).isoformat(timespec="microseconds")
    recorded = [replace(each, since=each.since or time) for each in rulings]
    fences = [asdict(each) for each in recorded if each.verdict == "fence"]
    others = [asdict(each) for each in recorded if each.verdict != "fence"]
    for file, records in ((fences_file(data), fences), (wordings_file(data), others)):
        if records:
            append(file, records)
    return recorded


def all_rulings(data: Path) -> list[Ruling]:
    """Return every readable ruling, oldest first."""
    records = [*read(wordings_file(data)), *read(fences_file(data))]
    found = [ruling for record in records if (ruling := _ruling(record)) is not None]
    return sorted(found, key=lambda each: each.since)


def standing_rulings(data: Path) -> list[Ruling]:
    """Return the rulings that stand, withdrawn ones left out, by collection, answer and text."""
    return standing_of(all_rulings(data))


def standing_of(rulings: Iterable[Ruling]) -> list[Ruling]:
    """Return which of some rulings, oldest first, stand."""
    found: dict[tuple[str, str, str], Ruling] = {}
    for each in rulings:
        before = found.get(each.about)
        if before is None or each.person or not before.person:
            found[each.about] = each
    return [found[about] for about in sorted(found) if found[about].verdict != "withdrawn"]


def doubts(data: Path) -> list[Ruling]:
    """Return what waits for a person: texts of which the judge is not sure whether they ask for an answer."""
    return [each for each in standing_rulings(data) if each.verdict == "doubtful"]


def fault_of(ruling: Ruling) -> str | None:
    """Return what is wrong with a ruling in itself, in one sentence; None if nothing is."""
    if ruling.verdict not in KINDS:
        return f"the verdict {ruling.verdict!r} is none of {', '.join(KINDS)}."
    if ruling.origin not in ORIGINS:
        return f"the origin {ruling.origin!r} is none of {', '.join(ORIGINS)}."
    if not ruling.collection or not ruling.query_key:
        return "it names no answer: collection or query_key is empty."
    if not normalise(ruling.text):
        return "its text is no question."
    return None if ruling.approved_by.strip() else "nobody is named: it is recorded with who ruled."


def _ruling(record: Record) -> Ruling | None:
    """Return the ruling of a record, or None if it says nothing."""
    confidence = record.get("confidence")
    found = Ruling(
        collection=str(record.get("collection") or ""),
        query_key=str(record.get("query_key") or ""),
        text=str(record.get("text") or ""),
        verdict=record.get("verdict"),  # type: ignore[arg-type]  # checked below
        origin=record.get("origin"),  # type: ignore[arg-type]  # checked below
        approved_by=str(record.get("approved_by") or "unknown"),
        since=str(record.get("since") or ""),
        person=record.get("person") is True,
        confidence=float(confidence) if isinstance(confidence, int | float) else None,
    )
    return found if fault_of(found) is None else None
