"""Chunks in a mapped file: by id, in the order of the documents, and of one document."""

from __future__ import annotations

import pytest

from batch.retrieval.chunk_file import ChunkFile
from rag.retrieval.passages import StoredChunk


def chunk(document: str, number: int) -> StoredChunk:
    name = f"{document}-{number}"
    return StoredChunk(name, document, document.title(), f"{document}.md", "", f"Text of {name}: 9 °C.", f"h{name}")


ALL = [chunk(document, number) for document in ("ale", "bee", "cat") for number in range(3)]


@pytest.fixture(scope="module")
def chunks() -> ChunkFile:
    return ChunkFile.write(reversed(list(enumerate(ALL))))


def test_a_chunk_is_found_by_its_id(chunks: ChunkFile) -> None:
    assert chunks["bee-1"] == chunk("bee", 1)
    assert chunks.get("bee-7") is None


def test_chunks_come_in_the_order_of_their_documents_whatever_order_they_were_written_in(chunks: ChunkFile) -> None:
    assert len(chunks) == 9
    assert list(chunks.values()) == ALL


@pytest.mark.parametrize(("document", "count"), [("ale", 3), ("bee", 3), ("cat", 3), ("bed", 0), ("a", 0), ("z", 0)])
def test_a_document_has_its_own_chunks(chunks: ChunkFile, document: str, count: int) -> None:
    assert chunks.of_document(document) == [chunk(document, number) for number in range(count)]


def test_a_collection_may_have_none() -> None:
    chunks = ChunkFile.write([])

    assert not chunks
    assert chunks.of_document("ale") == []
