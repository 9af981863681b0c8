"""What a decision records of a passage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A passage of the answer that was decided about, as it was then; `content_hash` tells whether it changed."""

    number: int
    kind: str
    document_id: str
    chunk_id: str
    title: str
    uri: str
    heading: str
    content_hash: str = ""
