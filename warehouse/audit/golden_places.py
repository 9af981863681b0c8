"""Where the answers to golden questions stand: the chunks that retrieval has to find.

A question that names a `passage` is answered by the chunks that hold its text, one that names a `document` alone by
those of its chunks that hold every expected text, or by all of them if none does. Expected texts alone count if few
chunks hold them all: "yes" stands everywhere and says nothing about a place. Only letters and digits are compared.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping, Sequence

from rag.retrieval.passages import StoredChunk
from warehouse.audit.golden import Golden

_MOST_PLACES = 5  # chunks that hold the expected texts of a question that names no document
_WORD = re.compile(r"[^\W_]+")


def locate(golden: Sequence[Golden], chunks: Collection[StoredChunk]) -> list[frozenset[str]]:
    """Return for each of n golden questions of one collection the ids of the chunks that answer it, none if unknown."""
    texts = {each.chunk_id: _bare(f"{each.heading}\n{each.text}") for each in chunks}
    documents: dict[str, list[str]] = {}
    for each in chunks:
        documents.setdefault(each.document_id, []).append(each.chunk_id)
    return [frozenset(_places(each, texts, documents)) for each in golden]


def _places(golden: Golden, texts: Mapping[str, str], documents: Mapping[str, Sequence[str]]) -> Collection[str]:
    within = _of_document(golden.document, documents) if golden.document else list(texts)
    if golden.passages:
        wanted = [_bare(each) for each in golden.passages]
        return [each for each in within if any(text in texts[each] for text in wanted)]
    holding = _holding_all(golden.expected, within, texts)
    if golden.document:
        return holding or within
    return holding if len(holding) <= _MOST_PLACES else ()


def _of_document(named: str, documents: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the chunks of a document, named by its id or by the end of its path."""
    found = [named] if named in documents else [each for each in documents if each.endswith(f"/{named}")]
    return [chunk_id for each in found for chunk_id in documents[each]]


def _holding_all(expected: Sequence[str], within: Sequence[str], texts: Mapping[str, str]) -> list[str]:
    wanted = [_bare(each) for each in expected]
    return [each for each in within if wanted and all(text in texts[each] for text in wanted)]


def _bare(text: str) -> str:
    """Return the words of a text between blanks, so that a text is found at whole words alone."""
    return f" {' '.join(_WORD.findall(html.unescape(text).casefold()))} "
