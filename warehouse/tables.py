"""The tables as Arrow schemas: what the batch stages write as Parquet and `load` takes into DuckDB.

`sql/schema.sql` declares the same tables with keys and comments; a test keeps the two equal. All times
are UTC, all hashes are 32 hexadecimal digits (`rag.identity`). A table that a run does not have (for
example `reviews`) may be left out when a release is loaded: it is then empty.

`JOURNAL` is one record of the online service; the history has the same columns. A segment is a file
`<data>/journal/<unique name>.jsonl`, one record a line. While it is written its name ends in
`.jsonl.open`; once it has its final name nobody writes to it again, and compaction may take and delete it.
"""

from __future__ import annotations

import pyarrow as pa

_TEXT, _INT, _REAL, _FLAG, _TIME = (
    pa.string(),
    pa.int64(),
    pa.float64(),
    pa.bool_(),
    pa.timestamp("us", tz="UTC"),
)


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


DOCUMENTS = _schema(
    collection=_TEXT, document_id=_TEXT, uri=_TEXT, title=_TEXT, media_type=_TEXT,
    content_hash=_TEXT, characters=_INT, read_at=_TIME,
)  # fmt: skip

CHUNKS = _schema(
    collection=_TEXT, chunk_id=_TEXT, document_id=_TEXT, position=_INT, heading=_TEXT,
    text=_TEXT, content_hash=_TEXT, tokens=_INT,
)  # fmt: skip

# origin: list, journal, corpus or curated; detail: the file and line, or the chunk that proposed it
QUESTIONS = _schema(
    collection=_TEXT, query_key=_TEXT, question=_TEXT, normalised=_TEXT, origin=_TEXT, detail=_TEXT,
)  # fmt: skip

# one row a candidate; ranks start at 1; in_prompt says which became passages, position their number there
RETRIEVALS = _schema(
    collection=_TEXT, query_key=_TEXT, rank=_INT, chunk_id=_TEXT, score=_REAL, dense_rank=_INT,
    dense_score=_REAL, lexical_rank=_INT, lexical_score=_REAL, in_prompt=_FLAG,
)  # fmt: skip

# origin: generated, curated or edited; status: served or withheld (then withheld_reason says why)
ANSWERS = _schema(
    collection=_TEXT, query_key=_TEXT, fingerprint=_TEXT, answer=_TEXT, origin=_TEXT, status=_TEXT,
    withheld_reason=_TEXT, model_id=_TEXT, template_id=_TEXT, sampling=_TEXT, passages_hash=_TEXT,
    finish_reason=_TEXT, prompt_tokens=_INT, completion_tokens=_INT, cached_tokens=_INT,
    support=_REAL, invalid_citations=_INT, run_id=_TEXT, generated_at=_TIME, seconds=_REAL,
)  # fmt: skip

# number: the passage's number in the prompt; kind: cited (the answer refers to it) or consulted
CITATIONS = _schema(
    collection=_TEXT, query_key=_TEXT, number=_INT, chunk_id=_TEXT, document_id=_TEXT, kind=_TEXT,
)  # fmt: skip

MODELS = _schema(model_id=_TEXT, kind=_TEXT, name=_TEXT, revision=_TEXT, details=_TEXT)

PROMPT_TEMPLATES = _schema(template_id=_TEXT, name=_TEXT, text=_TEXT)

RUNS = _schema(
    run_id=_TEXT, started_at=_TIME, finished_at=_TIME, status=_TEXT, runner=_TEXT, documents=_INT,
    chunks=_INT, questions=_INT, embedded=_INT, embeddings_reused=_INT, generated=_INT, reused=_INT,
    dropped=_INT, rejected=_INT, prompt_tokens=_INT, completion_tokens=_INT, cached_tokens=_INT,
    generation_seconds=_REAL, settings=_TEXT,
)  # fmt: skip

RUN_STAGES = _schema(run_id=_TEXT, stage=_TEXT, started_at=_TIME, seconds=_REAL, rows=_INT)

# what became of each answer since the last release; change: reused, restored, regenerated, new or dropped;
# reason: new question, question removed, passages, prompt, model, sampling, review, curated
CHANGES = _schema(collection=_TEXT, query_key=_TEXT, change=_TEXT, reason=_TEXT, previous_fingerprint=_TEXT)

REJECTS = _schema(run_id=_TEXT, stage=_TEXT, collection=_TEXT, item=_TEXT, reason=_TEXT)

# decision: approve, edit or reject; it holds as long as the fingerprint is the same
REVIEWS = _schema(
    collection=_TEXT, query_key=_TEXT, fingerprint=_TEXT, decision=_TEXT, answer=_TEXT, reviewer=_TEXT,
    reviewed_at=_TIME, note=_TEXT,
)  # fmt: skip

# why a person should look at an answer that is served; written by the audit
DOUBTS = _schema(collection=_TEXT, query_key=_TEXT, fingerprint=_TEXT, reason=_TEXT)

# the checks of the release audit; written by the audit
CHECKS = _schema(
    name=_TEXT, passed=_FLAG, figure=_REAL, allowed=_REAL, explanation=_TEXT, examples=pa.list_(_TEXT)
)  # fmt: skip

# kind: request, feedback or comparison; source: exact, semantic, live, refused, failed or bypass; prompt
# and citations hold JSON; refusal: why a semantic candidate was not taken; matched_key: that candidate
JOURNAL = _schema(
    kind=_TEXT, request_id=_TEXT, at=_TIME, collection=_TEXT, route=_TEXT, question=_TEXT, query_key=_TEXT,
    source=_TEXT, cache_status=_TEXT, confidence=_REAL, matched_key=_TEXT, similarity=_REAL, refusal=_TEXT,
    answer=_TEXT, prompt=_TEXT, citations=_TEXT, model=_TEXT, finish_reason=_TEXT, prompt_tokens=_INT,
    completion_tokens=_INT, total_seconds=_REAL, embed_seconds=_REAL, retrieve_seconds=_REAL,
    queue_seconds=_REAL, llm_seconds=_REAL, release_id=_TEXT, status=_INT, fingerprint=_TEXT, key_id=_TEXT,
    streamed=_FLAG, helpful=_FLAG, comment=_TEXT, agrees=_FLAG,
)  # fmt: skip

TABLES: dict[str, pa.Schema] = {
    "documents": DOCUMENTS,
    "chunks": CHUNKS,
    "questions": QUESTIONS,
    "retrievals": RETRIEVALS,
    "answers": ANSWERS,
    "citations": CITATIONS,
    "models": MODELS,
    "prompt_templates": PROMPT_TEMPLATES,
    "runs": RUNS,
    "run_stages": RUN_STAGES,
    "changes": CHANGES,
    "rejects": REJECTS,
    "reviews": REVIEWS,
    "doubts": DOUBTS,
    "checks": CHECKS,
}
