"""Prepare: documents into chunks.

Lists the files of each collection, parses and chunks them in parallel, and writes three tables below `<out>`:
documents, chunks and rejects. Nothing a document holds stops the run; what can't be used is a reject with its reason.
What is listed is told by `batch.sources.source_files`, what becomes of two documents under one id by
`batch.sources.unique_ids`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam

from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.reading.chunking import chunk
from batch.reading.documents import Document, Reject, parse
from batch.rejects import REJECTED, reject_row, unexpected
from batch.sources.source_files import Source, find_sources
from batch.sources.unique_ids import OneAnId, Reading, keyed
from batch.stores.parquet import WriteRows, count_rows, read_bytes, read_table
from rag.errors import DocumentError
from rag.retrieval.embedding import TokenCounter
from warehouse.tables import CHUNKS, DOCUMENTS, REJECTS

STAGE = "prepare"


class _Parse(beam.DoFn):
    """Source → ((collection, document id), reading), rejects on the side."""

    def __init__(self, run_id: str, max_bytes: int) -> None:
        self._run_id = run_id
        self._max_bytes = max_bytes

    def process(self, source: Source) -> Iterator[Any]:
        try:
            data = read_bytes(source.path)
        except Exception as error:  # each file system has its own errors; a file that is gone is a reject
            yield self._rejected(source, Reject(source.name, f"{source.name}: can't be opened ({error})"))
            return
        try:
            for parsed in parse(source.name, data, source.collection, self._max_bytes):
                if isinstance(parsed, Reject):
                    yield self._rejected(source, parsed)
                else:
                    yield keyed(Reading(source.path, source.name, parsed))
        except Exception as error:  # the last resort: no document ends the run for all others
            yield self._rejected(source, unexpected(source.name, error))

    def _rejected(self, source: Source, reject: Reject) -> Any:
        return beam.pvalue.TaggedOutput(REJECTED, reject_row(self._run_id, STAGE, source.collection, reject))


class _Chunk(beam.DoFn):
    """Document → its rows: one of the documents table, the rest of the chunks table."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._count: TokenCounter | None = None

    def setup(self) -> None:
        self._count = TokenCounter(Path(self._plan.encoder))

    def process(self, document: Document) -> Iterator[Any]:
        assert self._count is not None
        settings = self._plan.chunking
        try:
            pieces = chunk(document, self._count, settings.max_tokens, settings.overlap_sentences)
        except DocumentError as error:
            reject = Reject(document.document_id, str(error))
            yield beam.pvalue.TaggedOutput(REJECTED, reject_row(self._plan.run_id, STAGE, document.collection, reject))
            return
        yield document_row(document)
        for piece in pieces:
            yield beam.pvalue.TaggedOutput("chunks", vars(piece))


def document_row(document: Document) -> dict[str, Any]:
    """Return a row of the documents table."""
    return {
        "collection": document.collection,
        "document_id": document.document_id,
        "uri": document.uri,
        "title": document.title,
        "media_type": document.media_type,
        "content_hash": document.content_hash,
        "characters": len(document.text),
        "read_at": datetime.now(UTC),
    }


def prepare(plan: RunPlan) -> Figures:
    """Run the pipeline; documents that the plan calls withdrawn are left out."""
    out = plan.folder(STAGE)
    listing = find_sources({name: each.documents for name, each in plan.collections.items()}, plan.settings)
    parse_sources = _Parse(plan.run_id, plan.settings.max_document_bytes)
    with running_pipeline(plan) as pipeline:
        parsed = (
            pipeline
            | "Sources" >> beam.Create(listing.sources, reshuffle=True)
            | "Parse" >> beam.ParDo(parse_sources).with_outputs(REJECTED, main="documents")
        )
        documents, repeated = parsed.documents | "OneAnId" >> OneAnId(plan.run_id, plan.withdrawn)
        rows = documents | "Chunk" >> beam.ParDo(_Chunk(plan)).with_outputs("chunks", REJECTED, main="documents")
        unread = pipeline | "Unread" >> beam.Create(listing.reject_rows(plan.run_id, STAGE))
        rejects = (parsed[REJECTED], repeated, rows[REJECTED], unread) | "Rejects" >> beam.Flatten()
        _ = rows.documents | "WriteDocuments" >> WriteRows(f"{out}/documents", DOCUMENTS)
        _ = rows.chunks | "WriteChunks" >> WriteRows(f"{out}/chunks", CHUNKS)
        _ = rejects | "WriteRejects" >> WriteRows(f"{out}/rejects", REJECTS)
    return {table: count_rows(f"{out}/{table}") for table in ("documents", "chunks", "rejects")}


def document_ids(plan: RunPlan) -> dict[str, set[str]]:
    """Return the ids of the documents that were read, by collection."""
    table = read_table(f"{plan.folder(STAGE)}/documents", DOCUMENTS, ["collection", "document_id"])
    found: dict[str, set[str]] = {name: set() for name in plan.collections}
    for row in table.to_pylist():
        found[row["collection"]].add(row["document_id"])
    return found
