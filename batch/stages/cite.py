"""Cite: generations into answers, with citations that resolve and a support score.

Joins the prompts of this run with the answer store and the team's curated answers, and writes two tables
below `<out>`: answers and citations. A reference to a passage that was not in the prompt is counted, never
kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.stages.anticipate import CURATED
from batch.stages.retrieve import PROMPTS, load_chunks
from batch.stores.generation_store import find_generations
from batch.stores.parquet import WriteRows, count_rows, list_files, read_bytes, read_table
from rag.identity import stable_hash, template_id
from rag.prompting.citations import Linked, link, support
from rag.retrieval.passages import Passage, StoredChunk
from warehouse.tables import ANSWERS, CITATIONS

STAGE = "cite"


class _Answer(beam.DoFn):
    """Rows of the prompts table → rows of answers, and of citations on the side."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    def process(self, path: str) -> Iterator[Any]:
        rows = pq.read_table(pa.BufferReader(read_bytes(path)), schema=PROMPTS).to_pylist()
        found = find_generations(self._plan.answer_store, [row["fingerprint"] for row in rows]).to_pylist()
        generations = {row["fingerprint"]: row for row in found}
        curated = {row["query_key"] for row in _curated_rows(self._plan)}
        for row in rows:
            generation = generations.get(row["fingerprint"])
            if generation is None or row["query_key"] in curated:
                continue  # rejected by the model, or answered by the team
            passages = self._passages(row)
            linked = link(generation["text"], passages)
            yield answer_row(self._plan, row, generation, linked, support(linked.text, passages, row["question"]))
            yield from _citations(row, linked)

    def _passages(self, row: dict[str, Any]) -> list[Passage]:
        chunks = load_chunks(self._plan.folder("prepare"), row["collection"])
        return [Passage(number, chunks[chunk_id], 0.0) for number, chunk_id in enumerate(row["chunk_ids"], start=1)]


def _citations(row: dict[str, Any], linked: Linked) -> Iterator[Any]:
    for each in linked.citations:
        chunk = each.passage.chunk
        yield citation_row(row["collection"], row["query_key"], each.passage.number, chunk, each.kind)


def citation_row(collection: str, query_key: str, number: int, chunk: StoredChunk, kind: str) -> Any:
    """Return a row of the citations table, tagged as such."""
    row = {
        "collection": collection,
        "query_key": query_key,
        "number": number,
        "chunk_id": chunk.chunk_id,
        "document_id": chunk.document_id,
        "kind": kind,
    }
    return beam.pvalue.TaggedOutput("citations", row)


def answer_row(
    plan: RunPlan, prompt: dict[str, Any], generation: dict[str, Any], linked: Linked, supported: float
) -> dict[str, Any]:
    """Return a row of the answers table for a generated answer, to be audited."""
    return {
        **{name: prompt[name] for name in ("collection", "query_key", "fingerprint", "passages_hash")},
        "answer": linked.text,
        "origin": "generated",
        "status": "served",
        "model_id": plan.llm.model_id,
        "template_id": template_id(plan.template),
        "sampling": json.dumps(plan.sampling.identity(), sort_keys=True),
        **{name: generation[name] for name in ("finish_reason", "prompt_tokens", "completion_tokens", "cached_tokens")},
        "support": supported,
        "invalid_citations": linked.invalid,
        **{name: generation[name] for name in ("run_id", "generated_at", "seconds")},
    }


def _curated_rows(plan: RunPlan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(f"{plan.folder('anticipate')}/curated", CURATED).to_pylist()
    return rows


class _Curated(beam.DoFn):
    """Rows of the curated table → rows of answers, and of citations on the side."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    def process(self, row: dict[str, Any]) -> Iterator[Any]:
        chunks = load_chunks(self._plan.folder("prepare"), row["collection"])
        named = sorted(set(row["documents"]))
        found = {each: [chunk for chunk in chunks.values() if chunk.document_id == each] for each in named}
        versions = {each: sorted(chunk.content_hash for chunk in found[each]) for each in named}
        gone = [each for each in named if not found[each]]
        yield curated_answer_row(self._plan, row, stable_hash("documents", versions), gone)
        for number, each in enumerate((each for each in named if found[each]), start=1):
            yield citation_row(row["collection"], row["query_key"], number, found[each][0], "cited")


def curated_answer_row(plan: RunPlan, row: dict[str, Any], passages: str, gone: Sequence[str]) -> dict[str, Any]:
    """Return a row of the answers table for a team's own answer; its fingerprint covers the documents it names.

    One that names documents that are `gone` (withdrawn, deleted, or misspelt) is withheld until a person looks.
    """
    reason = f"names documents that are not there: {', '.join(gone)}" if gone else None
    return {
        "collection": row["collection"],
        "query_key": row["query_key"],
        "fingerprint": stable_hash("curated", row["query_key"], row["answer"], passages),
        "answer": row["answer"],
        "origin": "curated",
        "status": "withheld" if gone else "served",
        "withheld_reason": reason,
        "passages_hash": passages,
        "finish_reason": "stop",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cached_tokens": 0,
        "invalid_citations": 0,
        "run_id": plan.run_id,
        "generated_at": datetime.now(UTC),
        "seconds": 0.0,
    }


def cite(plan: RunPlan) -> Figures:
    """Run the pipeline."""
    out = plan.folder(STAGE)
    prompts = list_files(f"{plan.folder('retrieve')}/prompts/*.parquet")
    with running_pipeline(plan) as pipeline:
        generated = (
            pipeline
            | "Prompts" >> beam.Create(prompts)
            | "Answer" >> beam.ParDo(_Answer(plan)).with_outputs("citations", main="answers")
        )
        curated = (
            pipeline
            | "Curated" >> beam.Create(_curated_rows(plan))
            | "CuratedAnswer" >> beam.ParDo(_Curated(plan)).with_outputs("citations", main="answers")
        )
        answers = (generated.answers, curated.answers) | "Answers" >> beam.Flatten()
        citations = (generated.citations, curated.citations) | "Citations" >> beam.Flatten()
        _ = answers | "WriteAnswers" >> WriteRows(f"{out}/answers", ANSWERS)
        _ = citations | "WriteCitations" >> WriteRows(f"{out}/citations", CITATIONS)
    return {table: count_rows(f"{out}/{table}") for table in ("answers", "citations")}
