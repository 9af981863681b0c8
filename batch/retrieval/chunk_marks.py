"""The marks of a run's chunks: the values of their documents in the fields that the collection filters by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from batch.plan import RunPlan
from batch.stores.parquet import read_rows
from rag.filters import Marks, marks_of


class _Described(TypedDict):
    """The columns of the documents table that say what a document is about."""

    collection: str
    document_id: str
    metadata: dict[str, list[str]]


class _Place(TypedDict):
    """The columns of the chunks table that say whose a chunk is."""

    collection: str
    chunk_id: str
    document_id: str


def chunk_marks(plan: RunPlan, collection: str) -> Mapping[str, Marks]:
    """Return the marks of a collection's chunks, by id."""
    prepared, fields = plan.folder("prepare"), plan.collections[collection].filters
    marks = {
        row["document_id"]: marks_of(fields, row["metadata"])
        for row in read_rows(f"{prepared}/documents", _Described)
        if row["collection"] == collection
    }
    return {
        row["chunk_id"]: marks[row["document_id"]]
        for row in read_rows(f"{prepared}/chunks", _Place)
        if row["collection"] == collection
    }
