"""What a stage could not use, with the reason: rows beside the good ones, not lines in a log."""

from __future__ import annotations

from typing import Any

from rag.documents import Reject

REJECTED = "rejected"


def reject_row(run_id: str, stage: str, collection: str, reject: Reject) -> dict[str, Any]:
    """Return a row of the rejects table."""
    return {
        "run_id": run_id,
        "stage": stage,
        "collection": collection,
        "item": reject.item,
        "reason": reject.reason,
    }
