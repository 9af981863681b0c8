"""Chunks as a release stores them, and passages: chunks as they were retrieved for one question."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoredChunk:
    """A chunk, with the fields of its document that a citation shows."""

    chunk_id: str
    document_id: str
    title: str
    uri: str
    heading: str
    text: str
    content_hash: str


@dataclass(frozen=True)
class Passage:
    """A retrieved chunk. `number` is its place in the prompt, from 1; `score` is the fused score or the reranker's."""

    number: int
    chunk: StoredChunk
    score: float
