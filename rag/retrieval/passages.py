"""Chunks as a release stores them, and passages: chunks as they were retrieved for one question."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoredChunk:
    """A chunk with what a citation shows of its document."""

    chunk_id: str
    document_id: str
    title: str
    uri: str
    heading: str
    text: str
    content_hash: str


@dataclass(frozen=True)
class Passage:
    """A chunk as retrieved: `number` is its place in the prompt, from 1; `score` the fused or the reranker's."""

    number: int
    chunk: StoredChunk
    score: float
