"""What goes in and out as JSON: one declaration for decoding, encoding and the OpenAPI document.

msgspec decodes a question in 1 µs where pydantic behind FastAPI takes some 40 (bench/exact_hits.py), and
writes the JSON Schema of the same class, so that the document can't drift from the code.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from online.errors import Near, Suggestion

QUESTION_CHARACTERS = 2000
COLLECTION_CHARACTERS = 128
FILTER_CHARACTERS = 200

UnansweredSource = Literal["withheld", "unreliable"]
AnswerSource = Literal["exact", "semantic", "live"] | UnansweredSource
JsonObject = dict[str, Any]
CollectionName = Annotated[str, Meta(min_length=1, max_length=COLLECTION_CHARACTERS)]


QuestionFilters = dict[str, Annotated[str, Meta(min_length=1, max_length=FILTER_CHARACTERS)] | int | float]


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
    html: Annotated[bool, Meta(description="Send the answer as safe HTML, too.")] = False
    filters: Annotated[QuestionFilters, Meta(description="Values of the collection's filters, by field.")] | None = None


class Citation(msgspec.Struct, omit_defaults=True):
    """A source of an answer: `cited` by it, or `consulted` (it was in the prompt).

    `url` leads a reader to the passage, `metadata` is what its collection shows of the document's (`cite_fields`).
    """

    number: int
    kind: Literal["cited", "consulted"]
    document_id: str
    title: str
    uri: str
    heading: str | None
    passage: str | None
    chunk_id: str | None
    url: str = ""
    metadata: dict[str, list[str]] = {}


class Timings(msgspec.Struct):
    """Where the time went, in milliseconds."""

    total_ms: float = 0.0
    embed_ms: float = 0.0
    retrieve_ms: float = 0.0
    queue_ms: float = 0.0
    llm_ms: float = 0.0


class Handover(msgspec.Struct):
    """Where the team answers what the service does not."""

    text: str
    url: str | None


class Answer(msgspec.Struct, omit_defaults=True):
    """An answer and where it came from.

    With the source `withheld` or `unreliable` there is none: `answer` says so in a sentence, and `reason` says why.
    """

    id: str
    question: str
    collection: str
    answer: Annotated[str, Meta(description="The answer, in Markdown.")]
    source: AnswerSource
    origin: Literal["generated", "curated", "edited", "none"]
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
    html: Annotated[
        str, Meta(description="With `html`: the answer as safe HTML; references lead to `#source-<number>`.")
    ] = ""
    matched_question: str | None = None
    listed: Annotated[bool, Meta(description="Whether the question has a page: visitors' own need a person's yes.")] = (
        True
    )
    filters: Annotated[dict[str, str], Meta(description="The values that the question was asked with.")] = {}
    valid_until: Annotated[
        datetime.datetime | None, Meta(description="Until when the team wants the answer to be served.")
    ] = None
    explanation: JsonObject | None = None
    reason: str | UnsetType = UNSET
    suggestions: list[Suggestion] | UnsetType = UNSET
    handover: Handover | UnsetType | None = UNSET


QuestionText = Annotated[str, Meta(min_length=1, max_length=QUESTION_CHARACTERS)]


class LookupRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Questions that are only looked up: `question`, or up to 1,000 `questions`."""

    question: Annotated[QuestionText | None, Meta(description="One question, in plain words.")] = None
    questions: (
        Annotated[list[QuestionText], Meta(min_length=1, max_length=1000, description="Several; each gets a row.")]
        | None
    ) = None
    collection: CollectionName | None = None
    tolerated_error: (
        Annotated[float, Meta(ge=0, lt=1, description="As the collection's setting, and at most as large.")] | None
    ) = None
    threshold: Annotated[float, Meta(ge=0, le=1, description="Least score of the verifier.")] = 0.0
    filters: Annotated[QuestionFilters, Meta(description="As of `/v1/answers`.")] | None = None

    def __post_init__(self) -> None:
        """Refuse what asks nothing, or in two ways."""
        if (self.question is None) == (self.questions is None):
            raise ValueError("say either question or questions")


class LookupResult(msgspec.Struct, omit_defaults=True):
    """What lies ready for one of several questions: an `answer`, or a `reason` and the nearest `candidates`."""

    question: str
    found: bool
    answer: Answer | None = None
    reason: str | None = None
    candidates: list[Near] | None = None


class LookupResults(msgspec.Struct):
    """One row for each question, in their order."""

    results: list[LookupResult]


class Job(msgspec.Struct, omit_defaults=True):
    """A question that is answered later; ask again at `location`."""

    id: str
    status: Literal["queued", "running"]
    location: str
    question: str
    collection: str


class FalseHit(msgspec.Struct, forbid_unknown_fields=True):
    """An answer that was given to a question that asks something else."""

    question: Annotated[
        str, Meta(min_length=1, max_length=QUESTION_CHARACTERS, description="The question that was asked.")
    ]
    query_key: Annotated[
        str, Meta(pattern=r"^[0-9a-f]{32}$", description="The `query_key` of the answer that was given.")
    ]


class Feedback(msgspec.Struct, forbid_unknown_fields=True):
    """What someone thinks of an answer: at least one of `helpful`, `comment` and `false_hit`."""

    request_id: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._:-]{1,128}$", description="The `id` of the answer; the same as its `x-request-id`."
        ),
    ]
    helpful: Annotated[bool | None, Meta(description="Did it help?")] = None
    comment: Annotated[str, Meta(max_length=QUESTION_CHARACTERS, description="In their own words.")] | None = None
    collection: CollectionName | None = None
    false_hit: Annotated[FalseHit | None, Meta(description="The answer belongs to another question.")] = None

    def __post_init__(self) -> None:
        """Refuse feedback without content."""
        if self.helpful is None and self.comment is None and self.false_hit is None:
            raise ValueError("say at least one of helpful, comment and false_hit")


class Received(msgspec.Struct):
    """What became of feedback."""

    recorded: bool
    tombstoned: Annotated[bool, Meta(description="The pair of questions of a false hit will not hit again.")]


class AnticipatedQuestion(msgspec.Struct):
    """A question that is answered beforehand. `similarity` is set by a search."""

    question: str
    query_key: str
    similarity: float | None = None
    filters: dict[str, str] | UnsetType = UNSET


class Questions(msgspec.Struct):
    """Anticipated questions; `next_offset` is where the next page begins, if there is one."""

    questions: list[AnticipatedQuestion]
    total: Annotated[int, Meta(description="Anticipated questions of the collection, all in all.")]
    next_offset: int | None = None


class Health(msgspec.Struct):
    """The process is alive."""

    status: Literal["alive"] = "alive"


class Readiness(msgspec.Struct):
    """Whether anticipated questions can be answered; `problem` says what is not followed, such as a newer release."""

    status: Literal["ready", "not ready"]
    release: str | None
    collections: list[str]
    language_model: Literal["closed", "open", "half-open", "none"]
    problem: str | None = None


class ProblemDetails(msgspec.Struct, omit_defaults=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    suggestions: list[Suggestion] | None = None
    reason: str | None = None
    candidates: list[Near] | None = None
