"""The questions of a run: their vectors, and the chunks that rank highest for each."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batch.plan import RunPlan
from batch.retrieval.question_order import ListedQuestion, in_page_order
from batch.rows import ChunkQuestionRow, WordingRow
from batch.stores.embedding_store import embed_missing, find_vectors, known_hashes, write_vectors
from batch.stores.fetched import fetched
from batch.stores.generation_store import batch_name
from batch.stores.local_folders import local_copy
from batch.stores.parquet import StoredRows, file_batches, list_files, read_rows, table_rows
from rag.filters import as_marks, filters_from
from rag.identity import stable_hash
from rag.retrieval.embedding import EncoderSpec, OnnxEncoder
from rag.retrieval.fusion import Ranked
from rag.retrieval.late_interaction import TokenStates
from rag.retrieval.passages import Lookup
from rag.retrieval.reranking import Reranker
from rag.retrieval.retriever import Retriever
from rag.retrieval.row_groups import RowGroups
from rag.retrieval.vector_index import QUICK_LIMIT, VectorIndex
from rag.retrieval.vectors import Vectors
from warehouse.tables import QUESTIONS, AnswerWordingRow, QuestionRow

_BLOCK = 16_384  # texts


@dataclass(frozen=True)
class ReadQuestion:
    """A question as the encoder reads it: its vector, and for late interaction its tokens and their vectors."""

    vector: Vectors
    tokens: tuple[NDArray[np.int32], Vectors] | None = None


class _AskedWith(TypedDict):
    """The columns of the questions table that give a wording its filters."""

    query_key: str
    filters: dict[str, str]


def question_hash(question: str) -> str:
    """Return a question's key in the embedding store."""
    return stable_hash("question", question)


def embed_questions(plan: RunPlan, folder: str) -> int:
    """Embed the questions of a folder whose vectors are not known; return how many there were."""
    return _embed(plan, folder, "question")


def embed_wordings(plan: RunPlan) -> int:
    """Embed the run's wordings and fences whose vectors are not known; return how many there were."""
    folder = plan.folder("anticipate")
    return _embed(plan, f"{folder}/wordings", "wording") + _embed(plan, f"{folder}/fences", "text")


def _embed(plan: RunPlan, folder: str, column: str) -> int:
    unknown = unknown_texts(plan, folder, column)
    embed_missing(plan, unknown.files, unknown.read, unknown.hashes)
    return len(unknown.hashes)


@dataclass(frozen=True)
class UnknownTexts:
    """The texts in a column of a table that have no vectors yet, by their hashes."""

    files: list[str]
    column: str
    hashes: frozenset[str]

    def read(self, path: str) -> Iterator[Iterator[tuple[str, str]]]:
        """Yield all texts of a file with their hashes, in blocks."""
        return _hashed(path, self.column)

    def by_file(self) -> dict[str, list[str]]:
        """Return the hashes by the first file that holds their text."""
        left, found = set(self.hashes), dict[str, list[str]]()
        for path in self.files:
            here = {text_hash for block in self.read(path) for text_hash, _ in block} & left
            left -= here
            if here:
                found[path] = sorted(here)
        return found


def unknown_texts(plan: RunPlan, folder: str, column: str) -> UnknownTexts:
    """Find the texts of a table that the embedding store does not know."""
    files = list_files(f"{folder}/*.parquet")
    hashes = {text_hash for path in files for block in _hashed(path, column) for text_hash, _ in block}
    missing = hashes - known_hashes(plan.embedding_store) if hashes else ()
    return UnknownTexts(files, column, frozenset(missing))


def _hashed(path: str, column: str) -> Iterator[Iterator[tuple[str, str]]]:
    for table in file_batches(path, pa.schema([pa.field(column, pa.string())]), _BLOCK):
        yield _pairs(table[column])


def _pairs(texts: pa.ChunkedArray) -> Iterator[tuple[str, str]]:
    for text in texts.to_pylist():
        yield question_hash(text), text


def questions_by_collection(path: str, together: int) -> Iterator[tuple[str, list[QuestionRow]]]:
    """Read a file of questions in batches of one collection each, of at most so many."""
    for table in file_batches(path, QUESTIONS, together):
        for collection in pc.unique(table["collection"]).to_pylist():
            yield collection, table_rows(table.filter(pc.equal(table["collection"], collection)), QuestionRow)


def question_vectors(plan: RunPlan, rows: Sequence[ListedQuestion | WordingRow | ChunkQuestionRow]) -> Vectors:
    """Return the vectors of n questions, of shape (n, dimensions)."""
    hashes = [question_hash(row["question"]) for row in rows]
    return find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)


def read_questions(plan: RunPlan, texts: Sequence[str]) -> dict[str, ReadQuestion]:
    """Return n questions as the encoder reads them; without late interaction their vectors must be in the store.

    Late interaction compares token vectors, which no store holds. So questions are read anew for it, many at once, and
    their own vectors fall out of the same pass.
    """
    if not plan.retrieval.late_candidates:
        vectors = find_vectors(
            plan.embedding_store, [question_hash(each) for each in texts], plan.encoder_spec.dimensions
        )
        return {text: ReadQuestion(vector) for text, vector in zip(texts, vectors, strict=True)}
    vectors, states = load_encoder(plan.encoder, plan.encoder_spec).embed_with_states(texts)
    return {text: ReadQuestion(*found) for text, *found in zip(texts, vectors, states, strict=True)}


def store_vectors(plan: RunPlan, read: Mapping[str, ReadQuestion], unknown: Collection[str]) -> None:
    """Keep the vectors of those questions that are unknown, given by their hashes."""
    hashed = {question_hash(text): found.vector for text, found in read.items()}
    hashes = sorted(hashed.keys() & unknown)
    if hashes:
        path = f"{plan.embedding_store}/{batch_name(hashes)}.parquet"
        write_vectors(path, hashes, np.stack([hashed[each] for each in hashes]))


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
    read: Mapping[str, ReadQuestion],
    lookup: Lookup,
    indexes: str | None = None,
) -> list[list[Ranked]]:
    """Return the ranked candidates of n questions, each of which was read.

    `indexes` is the folder of the collection's indexes, by default that of the release.
    """
    indexed, weighed = indexes or plan.index_folder(collection), f"{plan.folder('weigh')}/{collection}"
    questions, filters = [row["question"] for row in rows], [filters_from(row["filters"]) for row in rows]
    if not questions:
        return []
    vectors = np.stack([read[each].vector for each in questions])
    with local_copy(indexed) as folder, local_copy(weighed) as weights:
        retriever = _open_retriever(plan, folder, weights, _states_of(read))
        return retriever.rank(questions, vectors, lookup, filters)


def _open_retriever(plan: RunPlan, folder: Path, weights: Path, states: TokenStates) -> Retriever:
    reranker = load_reranker(plan.reranker) if plan.reranker else None
    return Retriever.load(folder, plan.retrieval, reranker, states, weights)


def _states_of(read: Mapping[str, ReadQuestion]) -> TokenStates:
    """Return what late interaction asks for the token vectors of a question."""

    def states(question: str) -> tuple[NDArray[np.int32], Vectors]:
        found = read[question].tokens
        assert found is not None
        return found

    return states


def index_questions(
    plan: RunPlan, collection: str, keys: Collection[str], stem: Path, asked: Mapping[str, int]
) -> None:
    """Write the vector index of those questions of a collection that have these query keys.

    It is made after the audit, one for served and one for withheld answers: among the former, a question whose answer
    is withheld would take the place of one that can be answered. The rows stand in the order of the FAQ page: `asked`
    says how often each question was asked, by its key.
    """
    stored = StoredRows(f"{plan.folder('anticipate')}/questions", ListedQuestion, collection)
    rows = in_page_order((row for row in stored if row["query_key"] in keys), asked)
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
