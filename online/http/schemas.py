"""What goes in and out of the answer routes: one declaration for decoding, encoding and the OpenAPI document.

msgspec decodes a question in 1 µs where pydantic behind FastAPI takes some 40 (bench/exact_hits.py), and
writes the JSON Schema of the same class, so that the document can't drift from the code.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

QUESTION_CHARACTERS = 2000
COLLECTION_CHARACTERS = 128

Source = Literal["exact", "semantic", "live"]


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """A question."""

    question: Annotated[
        str, Meta(min_length=1, max_length=QUESTION_CHARACTERS, description="The question, in plain words.")
    ]
    collection: (
        Annotated[str, Meta(min_length=1, max_length=COLLECTION_CHARACTERS, description="The collection to ask.")]
        | None
    ) = None
    explain: Annotated[bool, Meta(description="Say how the answer was chosen.")] = False
    stream: Annotated[bool, Meta(description="Send server-sent events.")] = False


class Citation(msgspec.Struct):
    """A source of an answer: `cited` by it, or `consulted` (it was in the prompt)."""

    number: int
    kind: Literal["cited", "consulted"]
    document_id: str
    title: str
    uri: str
    heading: str | None
    passage: str | None
    chunk_id: str | None


class Timings(msgspec.Struct):
    """Where the time went, in milliseconds."""

    total_ms: float = 0.0
    embed_ms: float = 0.0
    retrieve_ms: float = 0.0
    queue_ms: float = 0.0
    llm_ms: float = 0.0


class Answer(msgspec.Struct, omit_defaults=True):
    """An answer and where it came from."""

    id: str
    question: str
    collection: str
    answer: str
    source: Source
    origin: Literal["generated", "curated", "edited"]
    confidence: Annotated[float, Meta(ge=0, le=1)]
    citations: list[Citation]
    model: str
    release: str
    fingerprint: str
    query_key: str
    generated_at: datetime.datetime
    age_seconds: int
    finish_reason: str | None
    support: float | None
    timings: Timings
    documents: list[str] = []
    matched_question: str | None = None
    explanation: dict[str, Any] | None = None


class Job(msgspec.Struct, omit_defaults=True):
    """A question that is answered later; ask again at `location`."""

    id: str
    status: Literal["queued", "running"]
    location: str
    question: str
    collection: str


class Suggestion(msgspec.Struct):
    """An anticipated question that is near to the one that was asked."""

    question: str
    query_key: str
    similarity: float


class ProblemDetails(msgspec.Struct, omit_defaults=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    suggestions: list[Suggestion] | None = None
