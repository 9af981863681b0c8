"""Retrieve: for every anticipated question its passages, its prompt and its fingerprint.

Writes two tables below `<out>`: retrievals (every candidate with its ranks and scores) and prompts (what
generation needs).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.generation.prompt_order import passages_hash
from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.stages.index import titles
from batch.stores.embedding_store import embed_missing, find_vectors, known_hashes
from batch.stores.parquet import WriteRows, count_rows, list_files, local_copy, read_bytes, read_table
from rag.identity import fingerprint, stable_hash
from rag.prompting.template import PromptTemplate
from rag.retrieval.passages import Passage, StoredChunk
from rag.retrieval.reranking import Reranker
from rag.retrieval.retriever import Lookup, Ranked, Retriever, choose_passages
from rag.retrieval.vector_index import VectorIndex
from rag.retrieval.vectors import Vectors
from warehouse.tables import CHUNKS, DOCUMENTS, QUESTIONS, RETRIEVALS

STAGE = "retrieve"
_TOGETHER = 256  # questions searched at once

# What generation needs of a question; messages is the JSON of the chat, chunk_ids the passages in order.
PROMPTS = pa.schema(
    [
        pa.field("collection", pa.string()),
        pa.field("query_key", pa.string()),
        pa.field("question", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("passages_hash", pa.string()),
        pa.field("messages", pa.string()),
        pa.field("chunk_ids", pa.list_(pa.string())),
    ]
)


def question_hash(question: str) -> str:
    """Name a question's text in the embedding store."""
    return stable_hash("question", question)


@functools.lru_cache(maxsize=8)
def load_chunks(prepared: str, collection: str) -> Mapping[str, StoredChunk]:
    """Read the chunks of a collection by id, with their documents' titles; once a process and run."""
    known_titles = titles(f"{prepared}/documents")
    uris = {
        (row["collection"], row["document_id"]): row["uri"]
        for row in read_table(f"{prepared}/documents", DOCUMENTS, ["collection", "document_id", "uri"]).to_pylist()
    }
    chunks = read_table(f"{prepared}/chunks", CHUNKS)
    return {
        row["chunk_id"]: StoredChunk(
            chunk_id=row["chunk_id"],
            document_id=row["document_id"],
            title=known_titles[collection, row["document_id"]],
            uri=uris[collection, row["document_id"]],
            heading=row["heading"],
            text=row["text"],
            content_hash=row["content_hash"],
        )
        for row in chunks.filter(pc.equal(chunks["collection"], collection)).to_pylist()
    }


@functools.lru_cache(maxsize=1)
def load_reranker(folder: str) -> Reranker:
    """Load the reranker once a process."""
    return Reranker.load(Path(folder))


class _Retrieve(beam.DoFn):
    """(collection, questions) → rows of prompts, and of retrievals on the side."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    def process(self, batch: tuple[str, list[dict[str, Any]]]) -> Iterator[Any]:
        collection, rows = batch
        template = PromptTemplate(self._plan.template)
        chunks = load_chunks(self._plan.folder("prepare"), collection)
        vectors = question_vectors(self._plan, rows)
        for row, ranked in zip(rows, rank(self._plan, collection, rows, vectors, chunks.get), strict=True):
            passages = choose_passages(ranked, chunks.get, self._plan.retrieval.passages)
            yield self._prompt(row, passages, template)
            chosen = {passage.chunk.chunk_id for passage in passages}
            for candidate in ranked:
                yield beam.pvalue.TaggedOutput("retrievals", retrieval_row(row, candidate, chosen))

    def _prompt(self, row: dict[str, Any], passages: list[Passage], template: PromptTemplate) -> dict[str, Any]:
        hashes = [passage.chunk.content_hash for passage in passages]
        return {
            "collection": row["collection"],
            "query_key": row["query_key"],
            "question": row["question"],
            "fingerprint": fingerprint(
                query_key=row["query_key"],
                passages=hashes,
                template=template.id,
                model=self._plan.llm.model_id,
                sampling=self._plan.sampling.identity(),
            ),
            "passages_hash": passages_hash(hashes),
            "messages": json.dumps([asdict(each) for each in template.messages(row["question"], passages)]),
            "chunk_ids": [passage.chunk.chunk_id for passage in passages],
        }


def rank(
    plan: RunPlan, collection: str, rows: Sequence[dict[str, Any]], vectors: Vectors, lookup: Lookup
) -> list[list[Ranked]]:
    """Rank the candidates for n rows of questions and their vectors, of shape (n, dimensions)."""
    reranker = load_reranker(plan.reranker) if plan.reranker else None
    with local_copy(f"{plan.folder('index')}/{collection}") as folder:
        retriever = Retriever.load(folder, plan.retrieval, reranker)
        return retriever.rank([row["question"] for row in rows], vectors, lookup)


def retrieval_row(row: dict[str, Any], candidate: Ranked, chosen: set[str]) -> dict[str, Any]:
    """Return a row of the retrievals table."""
    return {
        "collection": row["collection"],
        "query_key": row["query_key"],
        **asdict(candidate),
        "in_prompt": candidate.chunk_id in chosen,
    }


def question_vectors(plan: RunPlan, rows: Sequence[dict[str, Any]]) -> Vectors:
    """Return the vectors of n questions, of shape (n, dimensions)."""
    hashes = [question_hash(row["question"]) for row in rows]
    return find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)


def retrieve(plan: RunPlan) -> Figures:
    """Run the pipelines: embed the questions whose vectors are not known, retrieve, fill the prompts."""
    questions, out = f"{plan.folder('anticipate')}/questions", plan.folder(STAGE)
    embedded = embed_questions(plan, questions)
    with running_pipeline(plan) as pipeline:
        rows = (
            pipeline
            | "Questions" >> beam.Create(list_files(f"{questions}/*.parquet"))
            | "Read" >> beam.FlatMap(questions_by_collection)
            | "Retrieve" >> beam.ParDo(_Retrieve(plan)).with_outputs("retrievals", main="prompts")
        )
        _ = rows.prompts | "WritePrompts" >> WriteRows(f"{out}/prompts", PROMPTS)
        _ = rows.retrievals | "WriteRetrievals" >> WriteRows(f"{out}/retrievals", RETRIEVALS)
    return {"questions": count_rows(questions), "embedded": embedded}


def embed_questions(plan: RunPlan, folder: str) -> int:
    """Embed those of a folder's questions whose vectors are not known, and return how many they were."""
    texts = read_table(folder, QUESTIONS, ["question"])["question"].to_pylist()
    missing = frozenset({question_hash(text) for text in texts} - known_hashes(plan.embedding_store))
    embed_missing(plan, list_files(f"{folder}/*.parquet"), _read_questions, missing)
    return len(missing)


def _read_questions(path: str) -> Iterator[tuple[str, str]]:
    for row in pq.read_table(pa.BufferReader(read_bytes(path))).to_pylist():
        yield question_hash(row["question"]), row["question"]


def questions_by_collection(path: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Read a file of questions in batches of one collection each."""
    table = pq.read_table(pa.BufferReader(read_bytes(path)))
    for collection in pc.unique(table["collection"]).to_pylist():
        rows = table.filter(pc.equal(table["collection"], collection)).to_pylist()
        for start in range(0, len(rows), _TOGETHER):
            yield collection, rows[start : start + _TOGETHER]


def index_questions(plan: RunPlan, collection: str, served: Collection[str], stem: Path) -> None:
    """Write the vector index of a collection's questions that are served, which semantic hits and the page search.

    It is made after the audit: a question whose answer is withheld would take the place of one that can be answered.
    """
    table = read_table(f"{plan.folder('anticipate')}/questions", QUESTIONS)
    rows = table.filter(pc.equal(table["collection"], collection)).sort_by("query_key").to_pylist()
    rows = [row for row in rows if row["query_key"] in served]
    VectorIndex.build(question_vectors(plan, rows), [row["query_key"] for row in rows]).save(stem)
