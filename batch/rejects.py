"""Rejects: what a stage could not use and why, as rows beside the good ones rather than lines in a log."""

from __future__ import annotations

import apache_beam as beam

from rag.credentials import hide
from rag.text.decoding import tidy
from rag.text.table_files import Reject
from warehouse.tables import RejectRow

REJECTED = "rejected"
"""The tag of a pipeline's output for rejects."""


def unexpected(item: str, error: Exception) -> Reject:
    """Return the reject for an item whose reader failed in an unforeseen way; the run goes on without the item."""
    said = str(error).partition("\n")[0]
    return Reject(item, f"{item}: reading it failed ({type(error).__name__}: {said}); fix it or leave it out")


def reject_row(run_id: str, stage: str, collection: str, reject: Reject) -> RejectRow:
    """Return a row of the rejects table."""
    return {
        "run_id": run_id,
        "stage": stage,
        "collection": collection,
        "item": tidy(reject.item),  # may quote unreadable text, which a table cannot hold
        "reason": tidy(hide(reject.reason)),  # may quote an address, in the words of a file system
    }


def tagged_reject(run_id: str, stage: str, collection: str, reject: Reject) -> beam.pvalue.TaggedOutput:
    """Return a row of the rejects table for the rejects output of a pipeline."""
    return beam.pvalue.TaggedOutput(REJECTED, reject_row(run_id, stage, collection, reject))
