"""Prepare: documents into chunks.

Lists the files of each collection, parses and chunks them in parallel, and writes three tables below
`<out>`: documents, chunks and rejects. Nothing a document holds stops the run; what can't be used is a
reject with its reason. Two documents of one collection under one id: the first by its path is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.rejects import REJECTED, reject_row
from batch.storage import WriteRows, count_rows, list_files, read_bytes, read_table
from rag.chunking import chunk
from rag.documents import READABLE, Document, Reject, parse
from rag.embedding import TokenCounter
from rag.errors import ConfigurationError, DocumentError
from warehouse.tables import CHUNKS, DOCUMENTS, REJECTS

STAGE = "prepare"


@dataclass(frozen=True)
class Source:
    """A file of a collection. `name` is its path below the corpus root, `path` where it is opened."""

    collection: str
    name: str
    path: str


def find_sources(collections: Mapping[str, Sequence[str]]) -> tuple[list[Source], list[Source]]:
    """List the files behind files, folders, globs and URLs.

    Returns the sources, and the patterns that matched nothing (as sources without a path).
    """
    found: dict[tuple[str, str], Source] = {}
    missing: list[Source] = []
    for collection, patterns in collections.items():
        for pattern in patterns:
            try:
                matches = _expand(pattern)
            except ValueError as error:  # Beam knows no file system for this kind of address
                raise ConfigurationError(f"[collections.{collection}] {pattern}: can't be read ({error})") from error
            if not matches:
                missing.append(Source(collection, pattern, ""))
            for name, path in matches:
                found.setdefault((collection, path), Source(collection, name, path))
    return list(found.values()), missing


def refuse_missing(plan: RunPlan) -> None:
    """Refuse a configured file or folder that is not there; a glob may match nothing.

    A folder that was not mounted would look like a corpus whose documents are all gone, and a list that was moved
    like questions that nobody asks any more.

    Raises:
        ConfigurationError: the first one that is missing.
    """
    for name, collection in plan.collections.items():
        for kind in ("documents", "questions", "curated"):
            _, missing = find_sources({name: getattr(collection, kind)})
            for each in missing:
                if not _is_glob(each.name):
                    raise ConfigurationError(
                        f"[collections.{name}] {kind} names {each.name}: there is no such file, nor a folder with "
                        "a file that can be read; correct the path"
                    )


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


def _expand(pattern: str) -> list[tuple[str, str]]:
    """Return (name, path) of the files behind one entry; a folder is searched for readable endings."""
    pattern = pattern.rstrip("/")
    if _is_glob(pattern):
        fixed = pattern[: min(pattern.index(sign) for sign in "*?[" if sign in pattern)]
        root = fixed[: fixed.rfind("/") + 1]
        return [(path.removeprefix(root), path) for path in list_files(pattern) if _is_file(path)]
    inside = [path for path in list_files(f"{pattern}/**") if _readable(path) and _is_file(path)]
    if inside:
        return [(path.removeprefix(f"{pattern}/"), path) for path in inside if "/." not in path.removeprefix(pattern)]
    return [(FileSystems.split(path)[1], path) for path in list_files(pattern) if _is_file(path)]


def _readable(path: str) -> bool:
    name = path.rsplit("/", 1)[-1].lower()
    return "." in name and f".{name.rsplit('.', 1)[1]}" in READABLE


def _is_file(path: str) -> bool:
    results = FileSystems.match([path])
    return any(
        metadata.path == path and not _is_folder(path) for result in results for metadata in result.metadata_list
    )


def _is_folder(path: str) -> bool:
    return bool(FileSystems.match([f"{path}/*"])[0].metadata_list)


class _Parse(beam.DoFn):
    """Source → ((collection, document id), (path, document)), rejects on the side."""

    def __init__(self, run_id: str, max_bytes: int) -> None:
        self._run_id = run_id
        self._max_bytes = max_bytes

    def process(self, source: Source) -> Iterator[Any]:
        try:
            data = read_bytes(source.path)
        except Exception as error:  # each file system has its own errors; a file that is gone is a reject
            yield self._rejected(source, Reject(source.name, f"{source.name}: can't be opened ({error})"))
            return
        for parsed in parse(source.name, data, source.collection, self._max_bytes):
            if isinstance(parsed, Reject):
                yield self._rejected(source, parsed)
            else:
                yield (parsed.collection, parsed.document_id), (source.path, parsed)

    def _rejected(self, source: Source, reject: Reject) -> Any:
        return beam.pvalue.TaggedOutput(REJECTED, reject_row(self._run_id, STAGE, source.collection, reject))


class _KeepFirst(beam.DoFn):
    """One document an id, none that is withdrawn."""

    def __init__(self, run_id: str, withdrawn: frozenset[tuple[str, str]]) -> None:
        self._run_id = run_id
        self._withdrawn = withdrawn

    def process(self, element: tuple[tuple[str, str], Iterable[tuple[str, Document]]]) -> Iterator[Any]:
        (collection, document_id), readings = element
        ordered = sorted(readings, key=lambda reading: reading[0])
        reason = f"{document_id}: is withdrawn; `beforehand withdraw --undo` brings it back"
        if (collection, document_id) not in self._withdrawn:
            yield ordered[0][1]
            reason = f"{document_id}: a document of this id was already read from {ordered[0][0]}; rename one of them"
            ordered = ordered[1:]
        for _ in ordered:
            row = reject_row(self._run_id, STAGE, collection, Reject(document_id, reason))
            yield beam.pvalue.TaggedOutput(REJECTED, row)


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
    sources, missing = find_sources({name: each.documents for name, each in plan.collections.items()})
    keep_first = _KeepFirst(plan.run_id, plan.withdrawn)
    parse_sources = _Parse(plan.run_id, plan.settings.max_document_bytes)
    with running_pipeline(plan) as pipeline:
        parsed = (
            pipeline
            | "Sources" >> beam.Create(sources, reshuffle=True)
            | "Parse" >> beam.ParDo(parse_sources).with_outputs(REJECTED, main="documents")
        )
        kept = (
            parsed.documents
            | "ById" >> beam.GroupByKey()
            | "KeepFirst" >> beam.ParDo(keep_first).with_outputs(REJECTED, main="documents")
        )
        rows = kept.documents | "Chunk" >> beam.ParDo(_Chunk(plan)).with_outputs("chunks", REJECTED, main="documents")
        nowhere = pipeline | "Nowhere" >> beam.Create([nowhere_row(plan.run_id, STAGE, each) for each in missing])
        rejects = (parsed[REJECTED], kept[REJECTED], rows[REJECTED], nowhere) | "Rejects" >> beam.Flatten()
        _ = rows.documents | "WriteDocuments" >> WriteRows(f"{out}/documents", DOCUMENTS)
        _ = rows.chunks | "WriteChunks" >> WriteRows(f"{out}/chunks", CHUNKS)
        _ = rejects | "WriteRejects" >> WriteRows(f"{out}/rejects", REJECTS)
    return {table: count_rows(f"{out}/{table}") for table in ("documents", "chunks", "rejects")}


def nowhere_row(run_id: str, stage: str, source: Source) -> dict[str, Any]:
    """Return the reject of a configured file that is not there."""
    reason = f"{source.name}: no such file, folder or match; correct [collections.{source.collection}]"
    return reject_row(run_id, stage, source.collection, Reject(source.name, reason))


def document_ids(plan: RunPlan) -> dict[str, set[str]]:
    """Return the ids of the documents that were read, by collection."""
    table = read_table(f"{plan.folder(STAGE)}/documents", DOCUMENTS, ["collection", "document_id"])
    found: dict[str, set[str]] = {name: set() for name in plan.collections}
    for row in table.to_pylist():
        found[row["collection"]].add(row["document_id"])
    return found
