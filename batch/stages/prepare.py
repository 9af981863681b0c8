"""Prepare: documents into chunks.

Lists the files of each collection, parses and chunks them in parallel, and writes three tables below `<out>`:
documents, chunks and rejects. Nothing in a document stops the run; what can't be used is a reject with its reason.
`batch.sources.source_files` decides which files are read, `batch.sources.unique_ids` which of several documents
keeps an id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import apache_beam as beam

from batch.corpus_check.run_findings import Prepared, Reader, run_findings
from batch.corpus_check.scripts import scripts_of_encoder
from batch.formats.front_matter import text_field
from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.reading.chunking import chunk
from batch.reading.document import Document
from batch.reading.documents import parse
from batch.reading.metadata import what_was_cut
from batch.rejects import REJECTED, tagged_reject, unexpected
from batch.rows import chunk_row, document_row
from batch.sharing import forget_sources, readable_sources
from batch.sources.file_contents import AT_ONCE, FileContents
from batch.sources.parsed_files import ParsedDocument, ParsedFiles
from batch.sources.source_files import Listing, SourceFile, find_documents
from batch.sources.unique_ids import KeepUniqueIds
from batch.stores.fetched import fetched
from batch.stores.parquet import (
    StoredRows,
    WriteRows,
    count_rows,
    read_rows,
    remove_folder,
    rows_to_table,
    write_table,
)
from rag.credentials import hide, secret_values
from rag.errors import DocumentError
from rag.links import page_link
from rag.retrieval.embedding import TokenCounter
from rag.text.table_files import Reject
from warehouse.tables import ChunkRow, DocumentRow, FindingRow, RejectRow

STAGE = "prepare"
_ADDRESS_FIELDS = ("url", "canonical", "canonical_url", "link", "permalink")


class _Parse(beam.DoFn):
    """Source files → ((collection, document id), parsed document), and rejects; texts are written into files."""

    def __init__(self, plan: RunPlan, folder: str) -> None:
        self._folder = folder
        self._contents = FileContents(plan.settings)
        self._run_id = plan.run_id
        self._max_bytes = plan.settings.max_document_bytes
        self._encodings = {name: each.encoding for name, each in plan.collections.items()}
        self._base_urls = {name: each.base_url for name, each in plan.collections.items()}
        self._secrets = secret_values(plan.settings)

    def process(
        self, sources: list[SourceFile]
    ) -> Iterator[tuple[tuple[str, str], ParsedDocument] | beam.pvalue.TaggedOutput]:
        files = ParsedFiles(self._folder)
        read = self._contents.read_each([source.readable for source in sources])
        for source, (_, data) in zip(sources, read, strict=True):
            if isinstance(data, bytes):
                for each in self._parsed(source, data):
                    if isinstance(each, Document):
                        yield from map(_keyed, files.add(source.path, source.name, each))
                    else:
                        yield each
            else:  # a file that is gone is a reject
                said = hide(str(data), self._secrets)
                yield self._rejected(source, Reject(source.name, f"{source.name}: can't be opened ({said})"))
        yield from map(_keyed, files.written())

    def _parsed(self, source: SourceFile, data: bytes) -> Iterator[Document | beam.pvalue.TaggedOutput]:
        try:
            encoding = self._encodings[source.collection]
            for parsed in parse(source.name, data, source.collection, self._max_bytes, encoding):
                if isinstance(parsed, Reject):
                    yield self._rejected(source, parsed)
                    continue
                yield with_link(parsed, source, self._base_urls[source.collection])
                if cut := what_was_cut(parsed.fields):
                    yield self._rejected(source, Reject(parsed.document_id, cut))
                if parsed.included:
                    yield self._rejected(source, Reject(parsed.document_id, parsed.included))
                if parsed.hidden:  # the document is read; what was hidden in it is told all the same
                    yield self._rejected(source, Reject(parsed.document_id, parsed.hidden.describe()))
        except Exception as error:  # the last resort: one bad document must not end the run
            yield self._rejected(source, unexpected(source.name, error))

    def _rejected(self, source: SourceFile, reject: Reject) -> beam.pvalue.TaggedOutput:
        return tagged_reject(self._run_id, STAGE, source.collection, reject)


def _keyed(parsed: ParsedDocument) -> tuple[tuple[str, str], ParsedDocument]:
    return parsed.key, parsed


class _Chunk(beam.DoFn):
    """Document → its row of the documents table, and the rows of its chunks as a second output."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._count: TokenCounter | None = None

    def setup(self) -> None:
        self._count = TokenCounter(fetched(self._plan.encoder))

    def process(self, document: Document) -> Iterator[DocumentRow | beam.pvalue.TaggedOutput]:
        assert self._count is not None
        settings = self._plan.chunking
        try:
            chunks = chunk(document, self._count, settings.max_tokens, settings.overlap_sentences)
        except DocumentError as error:
            reject = Reject(document.document_id, str(error))
            yield tagged_reject(self._plan.run_id, STAGE, document.collection, reject)
            return
        yield document_row(document, self._plan.collections[document.collection].filters)
        for each in chunks:
            yield beam.pvalue.TaggedOutput("chunks", chunk_row(each))


def with_link(document: Document, source: SourceFile, base_url: str | None) -> Document:
    """Return a document with the link that readers follow: its own address, else that of its collection's template."""
    named = [text_field(document.fields, name) for name in _ADDRESS_FIELDS]
    row_id = document.document_id if document.uri != source.name else ""
    return replace(document, url=page_link(filter(None, (document.uri, *named)), base_url, source.name, row_id))


def prepare(plan: RunPlan) -> Figures:
    """Read and chunk the documents, except for those that the plan calls withdrawn."""
    out = plan.folder(STAGE)
    listing = find_documents(plan.collections, plan.settings)
    remove_folder(f"{out}/parsed")  # of a run that was killed
    parse_sources = _Parse(plan, f"{out}/parsed")
    with running_pipeline(plan) as pipeline:
        parsed = (
            pipeline
            | "Sources" >> beam.Create(readable_sources(plan, STAGE, listing.sources), reshuffle=True)
            | "Together" >> beam.BatchElements(min_batch_size=AT_ONCE, max_batch_size=AT_ONCE)
            | "Parse" >> beam.ParDo(parse_sources).with_outputs(REJECTED, main="documents")
        )
        documents, repeated = parsed.documents | "UniqueIds" >> KeepUniqueIds(plan.run_id, plan.withdrawn)
        rows = documents | "Chunk" >> beam.ParDo(_Chunk(plan)).with_outputs("chunks", REJECTED, main="documents")
        unread = pipeline | "Unread" >> beam.Create(listing.reject_rows(plan.run_id, STAGE))
        rejects = (parsed[REJECTED], repeated, rows[REJECTED], unread) | "Rejects" >> beam.Flatten()
        _ = rows.documents | "WriteDocuments" >> WriteRows(f"{out}/documents", DocumentRow)
        _ = rows.chunks | "WriteChunks" >> WriteRows(f"{out}/chunks", ChunkRow)
        _ = rejects | "WriteRejects" >> WriteRows(f"{out}/rejects", RejectRow)
    remove_folder(f"{out}/parsed")
    forget_sources(plan, STAGE)
    _write_findings(plan, listing)
    tables = {table: count_rows(f"{out}/{table}") for table in ("documents", "chunks", "rejects")}
    return tables | listing.skipped_figures()


def _write_findings(plan: RunPlan, listing: Listing) -> None:
    """Write what is worth a look in the documents, for the report."""
    out = plan.folder(STAGE)
    scripts = scripts_of_encoder(fetched(plan.encoder))
    reader = Reader(Path(plan.encoder).name, scripts, plan.retrieval.language)
    skipped_items = listing.skipped_items()
    rejects = [row for row in read_rows(f"{out}/rejects", RejectRow) if row["item"] not in skipped_items]
    found: list[FindingRow] = []
    for name in plan.collections:
        skipped: Counter[str] = Counter()
        for (collection, _, kind), count in listing.skipped.items():
            skipped[kind] += count if collection == name else 0
        prepared = Prepared(
            name,
            StoredRows(f"{out}/documents", DocumentRow, name),
            StoredRows(f"{out}/chunks", ChunkRow, name),
            [row for row in rejects if row["collection"] == name],
            skipped,
        )
        found += run_findings(prepared, reader)
    write_table(f"{out}/findings/findings.parquet", rows_to_table(found, FindingRow))


class _DocumentKey(TypedDict):
    """The columns of the documents table that identify a document."""

    collection: str
    document_id: str


def document_ids(plan: RunPlan) -> dict[str, set[str]]:
    """Return the ids of the documents that were read, by collection."""
    found: dict[str, set[str]] = {name: set() for name in plan.collections}
    for row in read_rows(f"{plan.folder(STAGE)}/documents", _DocumentKey):
        found[row["collection"]].add(row["document_id"])
    return found
