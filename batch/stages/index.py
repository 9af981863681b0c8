"""Index: chunks into vectors, vectors and words into the indexes of each collection.

Writes `<out>/<collection>/passages.faiss`, `passages.ids` and `lexical/`, as a release carries them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.reading.chunking import Chunk, embedded_text
from batch.stores.embedding_store import embed_missing, find_vectors, known_hashes
from batch.stores.parquet import list_files, local_output, read_bytes, read_table
from rag.identity import stable_hash
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.vector_index import VectorIndex
from warehouse.tables import CHUNKS, DOCUMENTS

STAGE = "index"


def titles(documents: str) -> dict[tuple[str, str], str]:
    """Read the title of each (collection, document id)."""
    table = read_table(documents, DOCUMENTS, ["collection", "document_id", "title"])
    return {(row["collection"], row["document_id"]): row["title"] for row in table.to_pylist()}


def chunk_text(row: dict[str, Any], title: str) -> str:
    """Return what is embedded of a row of the chunks table."""
    return embedded_text(title, Chunk(**row))


def text_hash(row: dict[str, Any]) -> str:
    """Name what is embedded of a chunk: its content hash covers title, heading and text."""
    return stable_hash("chunk", row["content_hash"])


def index(plan: RunPlan) -> Figures:
    """Run the pipelines: embed the chunks whose vectors are not known, build each collection's indexes."""
    prepared = plan.folder("prepare")
    chunks = read_table(f"{prepared}/chunks", CHUNKS, ["content_hash"])
    hashes = {stable_hash("chunk", each) for each in pc.unique(chunks["content_hash"]).to_pylist()}
    missing = frozenset(hashes - known_hashes(plan.embedding_store))
    known_titles = titles(f"{prepared}/documents")

    def read(path: str) -> Iterator[tuple[str, str]]:
        table = pq.read_table(pa.BufferReader(read_bytes(path)))
        for row in table.to_pylist():
            yield text_hash(row), chunk_text(row, known_titles[row["collection"], row["document_id"]])

    embed_missing(plan, list_files(f"{prepared}/chunks/*.parquet"), read, missing)
    with running_pipeline(plan) as pipeline:
        _ = pipeline | "Collections" >> beam.Create(list(plan.collections)) | "Build" >> beam.Map(_build, plan)
    return {"embedded": len(missing), "embeddings_reused": len(hashes) - len(missing)}


def _build(collection: str, plan: RunPlan) -> None:
    prepared = plan.folder("prepare")
    chunks = read_table(f"{prepared}/chunks", CHUNKS)
    rows = chunks.filter(pc.equal(chunks["collection"], collection)).sort_by("chunk_id").to_pylist()
    known_titles = titles(f"{prepared}/documents")
    ids = [row["chunk_id"] for row in rows]
    texts = [chunk_text(row, known_titles[collection, row["document_id"]]) for row in rows]
    vectors = find_vectors(plan.embedding_store, [text_hash(row) for row in rows], plan.encoder_spec.dimensions)
    with local_output(f"{plan.folder(STAGE)}/{collection}") as folder:
        VectorIndex.build(vectors, ids).save(Path(folder) / "passages")
        LexicalIndex.build(texts, ids, plan.retrieval.language).save(Path(folder) / "lexical")
