"""The questions of a run: their vectors, and the chunks that rank highest for each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from batch.plan import RunPlan
from batch.retrieval.question_order import in_page_order
from batch.rows import ChunkQuestionRow, WordingRow
from batch.stores.embedding_store import embed_missing, find_vectors, known_hashes
from batch.stores.fetched import fetched
from batch.stores.parquet import list_files, local_copy, read_file_rows, read_rows, read_table, read_tables, table_rows
from rag.filters import as_marks, filters_from
from rag.identity import stable_hash
from rag.retrieval.embedding import EncoderSpec, OnnxEncoder
from rag.retrieval.fusion import Ranked
from rag.retrieval.passages import Lookup
from rag.retrieval.reranking import Reranker
from rag.retrieval.retriever import Retriever
from rag.retrieval.row_groups import RowGroups
from rag.retrieval.vector_index import QUICK_LIMIT, VectorIndex
from rag.retrieval.vectors import Vectors
from warehouse.tables import QUESTIONS, AnswerWordingRow, FenceRow, QuestionRow

_TOGETHER = 256  # questions searched at once


class _QuestionText(TypedDict):
    """The one column of the questions table that is embedded."""

    question: str


class _AskedWith(TypedDict):
    """The columns of the questions table that give a wording its filters."""

    query_key: str
    filters: dict[str, str]


def question_hash(question: str) -> str:
    """Return a question's key in the embedding store."""
    return stable_hash("question", question)


def embed_questions(plan: RunPlan, folder: str) -> int:
    """Embed the questions of a folder whose vectors are not known; return how many there were."""
    return _embed(plan, folder, _questions_of)


def embed_wordings(plan: RunPlan) -> int:
    """Embed the run's wordings and fences whose vectors are not known; return how many there were."""
    folder = plan.folder("anticipate")
    return _embed(plan, f"{folder}/wordings", _wordings_of) + _embed(plan, f"{folder}/fences", _fences_of)


def _embed(plan: RunPlan, folder: str, texts_of: Callable[[str], list[str]]) -> int:
    files = list_files(f"{folder}/*.parquet")
    hashes = {question_hash(text) for path in files for text in texts_of(path)}
    missing = frozenset(hashes - known_hashes(plan.embedding_store)) if hashes else frozenset()
    embed_missing(plan, files, functools.partial(_hashed, texts_of), missing)
    return len(missing)


def _hashed(texts_of: Callable[[str], list[str]], path: str) -> Iterator[tuple[str, str]]:
    for text in texts_of(path):
        yield question_hash(text), text


def _questions_of(path: str) -> list[str]:
    return [row["question"] for row in read_file_rows(path, _QuestionText)]


def _wordings_of(path: str) -> list[str]:
    return [row["wording"] for row in read_file_rows(path, AnswerWordingRow)]


def _fences_of(path: str) -> list[str]:
    return [row["text"] for row in read_file_rows(path, FenceRow)]


def questions_by_collection(path: str) -> Iterator[tuple[str, list[QuestionRow]]]:
    """Read a file of questions in batches of one collection each."""
    table = pa.concat_tables(read_tables(path, QUESTIONS))
    for collection in pc.unique(table["collection"]).to_pylist():
        rows = table_rows(table.filter(pc.equal(table["collection"], collection)), QuestionRow)
        for start in range(0, len(rows), _TOGETHER):
            yield collection, rows[start : start + _TOGETHER]


def question_vectors(plan: RunPlan, rows: Sequence[QuestionRow | WordingRow | ChunkQuestionRow]) -> Vectors:
    """Return the vectors of n questions, of shape (n, dimensions)."""
    hashes = [question_hash(row["question"]) for row in rows]
    return find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)


@functools.lru_cache(maxsize=1)
def load_reranker(folder: str) -> Reranker:
    """Load the reranker, once per process."""
    return Reranker.load(fetched(folder))


@functools.lru_cache(maxsize=1)
def load_encoder(folder: str, spec: EncoderSpec) -> OnnxEncoder:
    """Load the encoder, once per process."""
    return OnnxEncoder.load(fetched(folder), spec=spec)


def rank(
    plan: RunPlan,
    collection: str,
    rows: Sequence[QuestionRow],
    vectors: Vectors,
    lookup: Lookup,
    indexes: str | None = None,
) -> list[list[Ranked]]:
    """Return the ranked candidates of n questions, given their vectors of shape (n, dimensions).

    `indexes` is the folder of the collection's indexes, by default that of the release.
    """
    reranker = load_reranker(plan.reranker) if plan.reranker else None
    indexed, weighed = indexes or plan.index_folder(collection), f"{plan.folder('weigh')}/{collection}"
    filters = [filters_from(row["filters"]) for row in rows]
    with local_copy(indexed) as folder, local_copy(weighed) as weights:
        states = load_encoder(plan.encoder, plan.encoder_spec).token_states
        retriever = Retriever.load(folder, plan.retrieval, reranker, states, weights)
        return retriever.rank([row["question"] for row in rows], vectors, lookup, filters)


def index_questions(
    plan: RunPlan, collection: str, keys: Collection[str], stem: Path, asked: Mapping[str, int]
) -> None:
    """Write the vector index of those questions of a collection that have these query keys.

    It is made after the audit, one for served and one for withheld answers: among the former, a question whose answer
    is withheld would take the place of one that can be answered. The rows stand in the order of the FAQ page: `asked`
    says how often each question was asked, by its key.
    """
    table = read_table(f"{plan.folder('anticipate')}/questions", QUESTIONS)
    table = table.filter(pc.equal(table["collection"], collection))
    rows = in_page_order((row for row in table_rows(table, QuestionRow) if row["query_key"] in keys), asked)
    VectorIndex.build(question_vectors(plan, rows), [row["query_key"] for row in rows], QUICK_LIMIT).save(stem)
    if fields := plan.collections[collection].filters:
        RowGroups.build(fields, [as_marks(filters_from(row["filters"])) for row in rows]).save(stem)


def index_wordings(plan: RunPlan, collection: str, keys: Collection[str], stem: Path) -> int:
    """Write the vector index of the further wordings of those questions, if there are any; return how many there are.

    It is apart from that of the questions, which lists and pages are made of: nobody is shown a wording.
    """
    folder = plan.folder("anticipate")
    rows = [
        row
        for row in read_rows(f"{folder}/wordings", AnswerWordingRow)
        if row["collection"] == collection and row["query_key"] in keys
    ]
    if not rows:
        return 0
    rows.sort(key=lambda row: row["wording_key"])
    hashes = [question_hash(row["wording"]) for row in rows]
    vectors = find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)
    VectorIndex.build(vectors, [row["wording_key"] for row in rows], QUICK_LIMIT).save(stem)
    if fields := plan.collections[collection].filters:
        asked = {row["query_key"]: row["filters"] for row in read_rows(f"{folder}/questions", _AskedWith)}
        marks = [as_marks(filters_from(asked[row["query_key"]])) for row in rows]
        RowGroups.build(fields, marks).save(stem)
    return len(rows)
