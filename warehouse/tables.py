"""The tables as row types with their Arrow schemas: what the batch writes as Parquet and `load` takes into DuckDB.

`sql/schema.sql` declares the same tables with keys and comments; a test keeps the two equal. All times
are UTC, all hashes are 32 hexadecimal digits (`rag.identity`). A table that a run does not have (for
example `reviews`) may be left out when a release is loaded: it is then empty.

`JOURNAL` is one record of the online service; the history has the same columns. A segment is a file
`<data>/journal/<unique name>.jsonl`, one record a line. While it is written its name ends in
`.jsonl.open`; once it has its final name nobody writes to it again, and compaction may take and delete it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TypedDict

import pyarrow as pa

from warehouse.arrow_schema import schema_of


class DocumentRow(TypedDict):
    """A document as it was read; `url`: where readers find it, `updated_at`: its own date.

    `changed_at`: the first run that saw this content; `metadata`: what the document says about itself.
    """

    collection: str
    document_id: str
    uri: str
    title: str
    titled_by_name: bool
    media_type: str
    content_hash: str
    characters: int
    read_at: datetime
    url: str
    updated_at: datetime | None
    changed_at: datetime | None
    metadata: dict[str, list[str]]


class ChunkRow(TypedDict):
    """A stored piece of a document; `url` leads to its heading."""

    collection: str
    chunk_id: str
    document_id: str
    position: int
    heading: str
    text: str
    content_hash: str
    tokens: int
    url: str


class QuestionRow(TypedDict):
    """An anticipated question; `origin`: list, journal, corpus, golden, canary or curated; `detail`: its source.

    `weight`: what it is worth beside others; `expected`: texts that its answer must contain, one a line.
    """

    collection: str
    query_key: str
    question: str
    normalised: str
    origin: str
    detail: str
    weight: float
    tags: list[str]
    expected: str
    owner: str
    metadata: dict[str, list[str]]
    filters: dict[str, str]


class AnswerWordingRow(TypedDict):
    """A further wording of the answer to the question `query_key`; `wording_key` is the wording's own query key.

    `origin`: list, curated, journal, model, judge or review; `since`: the first run or ruling that had it.
    """

    collection: str
    query_key: str
    wording_key: str
    wording: str
    origin: str
    approved_by: str
    since: datetime | None


class FenceRow(TypedDict):
    """A text near the answer to `query_key` that must not get it; `origin`: model, judge, journal or review."""

    collection: str
    query_key: str
    text_key: str
    text: str
    origin: str
    since: datetime | None


class RetrievalRow(TypedDict):
    """A candidate passage of a question: `rank` starts at 1, `in_prompt` tells which chunks the prompt shows."""

    collection: str
    query_key: str
    rank: int
    chunk_id: str
    score: float
    dense_rank: int | None
    dense_score: float | None
    lexical_rank: int | None
    lexical_score: float | None
    in_prompt: bool


class AnswerRow(TypedDict):
    """An answer; `origin`: generated, curated or edited; `status`: served, or withheld for `withheld_reason`."""

    collection: str
    query_key: str
    fingerprint: str
    answer: str
    origin: str
    status: str
    withheld_reason: str | None
    model_id: str | None
    template_id: str | None
    sampling: str | None
    passages_hash: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    support: float | None
    invalid_citations: int
    run_id: str
    generated_at: datetime
    seconds: float
    filters: dict[str, str]


class CitationRow(TypedDict):
    """A passage of an answer, by its `number` in the prompt; `kind`: cited (the answer refers to it) or consulted."""

    collection: str
    query_key: str
    number: int
    chunk_id: str
    document_id: str
    kind: str


class CoverageRow(TypedDict):
    """How well the corpus covers a question: the best passage's `score`, and the score below which none fits.

    `judged` is the highest probability that a passage answers it, where the language model judged.
    """

    collection: str
    query_key: str
    score: float
    threshold: float | None
    judged: float | None


class ModelRow(TypedDict):
    """A model that the run used."""

    model_id: str
    kind: str
    name: str
    revision: str
    details: str


class PromptTemplateRow(TypedDict):
    """A prompt template that the run used."""

    template_id: str
    name: str
    text: str


class RunRow(TypedDict):
    """A run."""

    run_id: str
    started_at: datetime
    finished_at: datetime
    status: str
    runner: str
    documents: int
    chunks: int
    questions: int
    embedded: int
    embeddings_reused: int
    generated: int
    reused: int
    dropped: int
    postponed: int | None
    rejected: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    batched_prompt_tokens: int
    batched_completion_tokens: int
    generation_seconds: float
    settings: str
    shadow: str | None
    trigger: str | None


class RunStageRow(TypedDict):
    """A stage of a run."""

    run_id: str
    stage: str
    started_at: datetime
    seconds: float
    rows: int


class ChangeRow(TypedDict):
    """What became of an answer since the last release.

    `change`: reused, restored, regenerated, new or dropped; `reason`: new question, question removed, passages,
    prompt, model, sampling, review or curated.
    """

    collection: str
    query_key: str
    change: str
    reason: str
    previous_fingerprint: str


class RejectRow(TypedDict):
    """Something that a stage could not use."""

    run_id: str
    stage: str
    collection: str
    item: str
    reason: str


class SetAsideRow(TypedDict):
    """A question that the run set aside; `reason`: budget (it waits for the next night) or retired (nobody asks it).

    `expected_hits` a day and `tokens` are estimates; `since`: since when a retired one was anticipated.
    """

    collection: str
    query_key: str
    question: str
    origin: str
    reason: str
    expected_hits: float | None
    tokens: int | None
    since: date | None
    last_asked: date | None


class ReviewRow(TypedDict):
    """What people decided about a question (approve, edit or reject); `former_…`: the audit's verdict before it."""

    collection: str
    query_key: str
    fingerprint: str
    decision: str
    answer: str
    reviewer: str
    reviewed_at: datetime
    note: str
    former_answer: str
    former_origin: str
    former_status: str
    former_reason: str


class DoubtRow(TypedDict):
    """Why a person should look at an answer that is served; the audit writes it."""

    collection: str
    query_key: str
    fingerprint: str
    reason: str


class FindingRow(TypedDict):
    """Something in the documents that is worth a look: how many there are, of how many in the whole."""

    collection: str
    finding: str
    count: int
    whole: int | None
    examples: list[str]


class CheckRow(TypedDict):
    """A check of the release audit; the audit writes it."""

    name: str
    passed: bool
    figure: float
    allowed: float
    explanation: str
    examples: list[str]


class JournalRow(TypedDict):
    """A record of the online service.

    `kind`: request, feedback or comparison; `source`: exact, semantic, live, withheld, unreliable, refused, failed or
    bypass; `prompt`, `citations` and `filters` hold JSON; `refusal`: why a semantic candidate was not taken, or why no
    answer was shown; `matched_key`: that candidate; `asker`: the name of the key, or a hash of the client's address
    that changes every day; `passage_score`: that of the best passage of a live answer.
    """

    kind: str | None
    request_id: str | None
    at: datetime | None
    collection: str | None
    route: str | None
    question: str | None
    query_key: str | None
    source: str | None
    cache_status: str | None
    confidence: float | None
    matched_key: str | None
    similarity: float | None
    refusal: str | None
    answer: str | None
    prompt: str | None
    citations: str | None
    model: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_seconds: float | None
    embed_seconds: float | None
    retrieve_seconds: float | None
    queue_seconds: float | None
    llm_seconds: float | None
    release_id: str | None
    status: int | None
    fingerprint: str | None
    key_id: str | None
    streamed: bool | None
    helpful: bool | None
    comment: str | None
    agrees: bool | None
    asker: str | None
    passage_score: float | None
    filters: str | None
    wording_key: str | None


DOCUMENTS = schema_of(DocumentRow)
CHUNKS = schema_of(ChunkRow)
QUESTIONS = schema_of(QuestionRow)
ANSWER_WORDINGS = schema_of(AnswerWordingRow)
FENCES = schema_of(FenceRow)
RETRIEVALS = schema_of(RetrievalRow)
ANSWERS = schema_of(AnswerRow)
CITATIONS = schema_of(CitationRow)
COVERAGE = schema_of(CoverageRow)
MODELS = schema_of(ModelRow)
PROMPT_TEMPLATES = schema_of(PromptTemplateRow)
RUNS = schema_of(RunRow)
RUN_STAGES = schema_of(RunStageRow)
CHANGES = schema_of(ChangeRow)
REJECTS = schema_of(RejectRow)
SET_ASIDE = schema_of(SetAsideRow)
REVIEWS = schema_of(ReviewRow)
DOUBTS = schema_of(DoubtRow)
CHECKS = schema_of(CheckRow)
FINDINGS = schema_of(FindingRow)
JOURNAL = schema_of(JournalRow)

TABLES: dict[str, pa.Schema] = {
    "documents": DOCUMENTS,
    "chunks": CHUNKS,
    "questions": QUESTIONS,
    "wordings": ANSWER_WORDINGS,
    "fences": FENCES,
    "retrievals": RETRIEVALS,
    "answers": ANSWERS,
    "citations": CITATIONS,
    "coverage": COVERAGE,
    "models": MODELS,
    "prompt_templates": PROMPT_TEMPLATES,
    "runs": RUNS,
    "run_stages": RUN_STAGES,
    "changes": CHANGES,
    "rejects": REJECTS,
    "set_aside": SET_ASIDE,
    "reviews": REVIEWS,
    "doubts": DOUBTS,
    "checks": CHECKS,
    "findings": FINDINGS,
}
