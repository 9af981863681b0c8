"""Rows of the tables that the stages write: those that stay within a run, and how what was read becomes rows.

The tables of a release are in `warehouse.tables`; prompts and curated answers are needed by later stages only.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TypedDict

from batch.questions.question_files import CuratedPair, Question
from batch.reading.chunking import Chunk
from batch.reading.document import Document
from batch.reading.metadata import metadata_of
from batch.reading.own_date import own_date
from warehouse.arrow_schema import schema_of
from warehouse.tables import ChunkRow, DocumentRow, QuestionRow


class PromptRow(TypedDict):
    """What generation needs of a question; `messages` is the chat as JSON, `chunk_ids` the passages in order.

    `shown_ids` are the chunks that the prompt shows of each passage, in reading order.
    """

    collection: str
    query_key: str
    question: str
    fingerprint: str
    passages_hash: str
    messages: str
    chunk_ids: list[str]
    shown_ids: list[list[str]]
    filters: dict[str, str]


class CuratedRow(TypedDict):
    """An answer that the team wrote; `documents` are the ids that it rests on."""

    collection: str
    query_key: str
    answer: str
    documents: list[str]
    filters: dict[str, str]


class WordingRow(TypedDict):
    """A text to search for beside a question: a rewording or a sketched answer of it."""

    collection: str
    query_key: str
    question: str
    sketched: bool


class MissRow(TypedDict):
    """A visitors' question that is left to be anticipated, see `batch.plan.MissedQuestion`."""

    collection: str
    question: str
    times: int
    askers: int
    filters: str | None


class CandidateRow(TypedDict):
    """A candidate passage of a question that is to be judged."""

    collection: str
    query_key: str
    question: str
    weight: float
    rank: int
    chunk_id: str


class VerdictRow(TypedDict):
    """The probability, from 0 to 1, that a chunk answers a question, as the language model judges."""

    collection: str
    query_key: str
    chunk_id: str
    yes: float


class ChunkQuestionRow(TypedDict):
    """A question that leads to a chunk: a further key of it."""

    collection: str
    chunk_id: str
    question: str


PROMPTS = schema_of(PromptRow)
WORDINGS = schema_of(WordingRow)
VERDICTS = schema_of(VerdictRow)
CHUNK_QUESTIONS = schema_of(ChunkQuestionRow)
CURATED = schema_of(CuratedRow)


def document_row(document: Document, filter_fields: Collection[str] = ()) -> DocumentRow:
    """Return a document's row of the documents table; what is new in it counts as changed now.

    Of its metadata, the fields that the collection filters by are kept whatever else is cut.
    """
    now = datetime.now(UTC)
    return {
        "collection": document.collection,
        "document_id": document.document_id,
        "uri": document.uri,
        "title": document.title,
        "titled_by_name": document.titled_by_name,
        "media_type": document.media_type,
        "content_hash": document.content_hash,
        "characters": len(document.text),
        "read_at": now,
        "url": document.url,
        "updated_at": own_date(document.fields),
        "changed_at": now,
        "metadata": metadata_of(document.fields, filter_fields),
    }


def chunk_row(chunk: Chunk) -> ChunkRow:
    """Return a chunk's row of the chunks table."""
    return {
        "collection": chunk.collection,
        "chunk_id": chunk.chunk_id,
        "document_id": chunk.document_id,
        "position": chunk.position,
        "heading": chunk.heading,
        "text": chunk.text,
        "content_hash": chunk.content_hash,
        "tokens": chunk.tokens,
        "url": chunk.url,
    }


def question_row(asked: Question | CuratedPair) -> QuestionRow:
    """Return a question's row of the questions table."""
    return {
        "collection": asked.collection,
        "query_key": asked.query_key,
        "question": asked.question,
        "normalised": asked.normalised,
        "origin": asked.origin,
        "detail": asked.detail,
        "weight": asked.weight,
        "tags": asked.tags,
        "expected": asked.expected,
        "owner": asked.owner,
        "metadata": asked.metadata,
        "filters": dict(asked.filters),
    }


def curated_row(pair: CuratedPair) -> CuratedRow:
    """Return a curated pair's row of the curated table."""
    return {
        "collection": pair.collection,
        "query_key": pair.query_key,
        "answer": pair.answer,
        "documents": list(pair.documents),
        "filters": dict(pair.filters),
    }
