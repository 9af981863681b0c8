"""What a stage could not use, with the reason: rows beside the good ones, not lines in a log."""

from __future__ import annotations

from typing import Any

from batch.reading.documents import Reject
from rag.text.decoding import tidy

REJECTED = "rejected"


def unexpected(item: str, error: Exception) -> Reject:
    """Return the reject of something at which its reader failed as nobody foresaw: the run goes on without it."""
    said = str(error).partition("\n")[0]
    return Reject(item, f"{item}: reading it failed ({type(error).__name__}: {said}); leave it out, or mend it")


def reject_row(run_id: str, stage: str, collection: str, reject: Reject) -> dict[str, Any]:
    """Return a row of the rejects table."""
    return {
        "run_id": run_id,
        "stage": stage,
        "collection": collection,
        "item": tidy(reject.item),  # which may quote what could not be read, and a table could not hold
        "reason": tidy(reject.reason),
    }
