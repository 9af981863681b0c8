"""Exports the queue as a file for people to decide about.

The queue is that of `editorial/queue.py`; `editorial/review_import.py` reads the files back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from warehouse.editorial.blind_pairs import EXPORTED as EXPORTED_PAIRS
from warehouse.editorial.blind_pairs import are_judged, exported_pairs
from warehouse.editorial.decisions import Decision, Decisions, by_question, described
from warehouse.editorial.near_misses import are_labels_recorded, near_misses
from warehouse.editorial.queue import QueueItem, queue
from warehouse.editorial.review_files import COLUMNS, TYPED_COLUMNS, ReviewRow, kind_of, read_rows, write_rows
from warehouse.editorial.ruled_wordings import EXPORTED, are_settled, ruled_wordings
from warehouse.errors import ReviewError

_EXPORTED = (
    "collection", "query_key", "fingerprint", "question", "filters", "answer", "former_answer", "status", "waiting",
    "reason", "decided_before", "origin", "support", "owner", "weight", "evidence", *TYPED_COLUMNS,
    "decisions",  # never empty, so last: Excel leaves out the separators of empty cells at the end of a row
)  # fmt: skip


# reasons that the answer is not in question for, or that a file can't decide about
_OF_THE_PAGE = {"asked by visitors", "asked otherwise", "same answer"}


def export_reviews(data: Path, target: Path, release: str | None = None) -> int:
    """Write everything in the queue that a file can decide, with its evidence; return how many.

    Raises:
        ReviewError: the ending of `target` is unknown, or the file holds work that is not imported yet.
    """
    waiting = queue(data, release=release)
    items = [item for item in waiting if not {reason.kind for reason in item.reasons} <= _OF_THE_PAGE]
    _refuse_to_overwrite(data, target)
    filtered = any(item.filters for item in items)
    names = [name for name in _EXPORTED if filtered or name != "filters"]
    write_rows(target, names, [{name: _exported(item)[name] for name in names} for item in items])
    return len(items)


def export_near_misses(data: Path, target: Path) -> int:
    """Write pairs of questions that nearly hit and have no label yet; return how many.

    Raises:
        ReviewError: the ending of `target` is unknown, or the file holds work that is not imported yet.
    """
    names, rows = near_misses(data)
    _refuse_to_overwrite(data, target)
    write_rows(target, names, rows)
    return len(rows)


def export_wordings(data: Path, target: Path, *, decided: bool = False) -> int:
    """Write the wordings that the judge is not sure about, beside their answers; return how many.

    With `decided` all wordings and fences that runs and people found.

    Raises:
        ReviewError: the ending of `target` is unknown, or the file holds work that is not imported yet.
    """
    rows = ruled_wordings(data, decided=decided)
    _refuse_to_overwrite(data, target)
    write_rows(target, EXPORTED, rows)
    return len(rows)


def export_pairs(data: Path, target: Path) -> int:
    """Write the pairs of answers that wait for a blind verdict; return how many.

    Raises:
        ReviewError: the ending of `target` is unknown, or the file holds work that is not imported yet.
    """
    rows = exported_pairs(data)
    _refuse_to_overwrite(data, target)
    write_rows(target, EXPORTED_PAIRS, rows)
    return len(rows)


def _exported(item: QueueItem) -> Mapping[str, object]:
    evidence = "\n\n".join(
        f"[{each.number}] {each.title}" + (f": {each.text}" if each.text else "") for each in item.evidence
    )
    return dict.fromkeys(TYPED_COLUMNS, "") | {
        "collection": item.collection,
        "query_key": item.query_key,
        "fingerprint": item.fingerprint,
        "question": item.question,
        "filters": ", ".join(f"{field}: {value}" for field, value in item.filters),
        "answer": item.answer,
        "former_answer": item.former_answer or "",
        "status": _status(item),
        "waiting": "; ".join(each.kind for each in item.reasons),
        "reason": "; ".join(each.detail or each.kind for each in item.reasons),
        "decided_before": "" if item.decided_before is None else described(item.decided_before),
        "origin": item.origin,
        "support": item.support,
        "owner": item.owner,
        "weight": item.weight,
        "evidence": evidence,
        "decisions": item.decisions,
    }


def _status(item: QueueItem) -> str:
    """Return whether the question is answered now: a rejection and an edit hold whatever the audit says."""
    held = None if item.decided_before is None else item.decided_before.decision
    return {"reject": "withheld", "edit": "served"}.get(held or "", item.status)


def _refuse_to_overwrite(data: Path, target: Path) -> None:
    """Refuse a file that holds rows without a decision, or decisions that are not recorded.

    Raises:
        ReviewError: it does.
    """
    if not target.exists():
        return
    try:
        rows = read_rows(target, COLUMNS)
    except ReviewError as error:
        raise ReviewError(f"{target} exists and is no review file; name another file.") from error
    readable = [row for row in rows if isinstance(row, dict)]
    if len(readable) < len(rows) or not _are_recorded(data, readable):
        raise ReviewError(f"{target} holds rows that are not decided and imported yet; name another file.")


def _are_recorded(data: Path, rows: Sequence[ReviewRow]) -> bool:
    if any("same" in row for row in rows):
        return are_labels_recorded(data, rows)
    if any("accept" in row for row in rows):
        return are_settled(data, rows)
    if any("better" in row for row in rows):
        return are_judged(data, rows)
    made = by_question(Decisions(data).all())
    return all(any(_records(each, row) for each in made.get(row.get("query_key", ""), ())) for row in rows)


def _records(decision: Decision, row: ReviewRow) -> bool:
    """Whether a decision is the one that a row holds."""
    kind = kind_of(row)
    if decision.fingerprint != row.get("fingerprint") or kind not in (decision.decision, "confirm"):
        return False
    return kind != "edit" or decision.answer == row.get("new_answer")
