"""Proposed questions that lead back to their chunks: what a chunk does not answer seldom does."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam

from batch.memory import pieces
from batch.pipeline import running_pipeline
from batch.plan import RunPlan
from batch.retrieval.prepared_chunks import load_chunks
from batch.retrieval.question_ranking import embed_questions, questions_by_collection, rank, read_questions
from batch.stores.parquet import WriteRows, list_files, read_table
from rag.retrieval.passages import choose_passages
from warehouse.tables import QUESTIONS, QuestionRow


class _LeadBack(beam.DoFn):
    """(collection, candidates) → the candidates whose passages include the chunk that they come from."""

    def __init__(self, plan: RunPlan, passages: int, indexes: str) -> None:
        self._plan = plan
        self._passages = passages
        self._indexes = indexes

    def process(self, batch: tuple[str, list[QuestionRow]]) -> Iterator[QuestionRow]:
        collection, rows = batch
        chunks = load_chunks(self._plan.folder("prepare"), collection)
        read = read_questions(self._plan, [row["question"] for row in rows])
        ranked = rank(self._plan, collection, rows, read, chunks.get, f"{self._indexes}/{collection}")
        for row, found in zip(rows, ranked, strict=True):
            passages = choose_passages(found, chunks.get, self._passages)
            if row["detail"] in {passage.chunk.chunk_id for passage in passages}:
                yield row


def leading_back(plan: RunPlan, out: str, passages: int) -> set[str]:
    """Return the keys of the questions in `<out>/candidates` that lead back to the chunk that their detail names.

    It is among the first `passages` then, in the indexes without further keys.
    """
    embed_questions(plan, f"{out}/candidates")
    with running_pipeline(plan) as pipeline:
        _ = (
            pipeline
            | "Candidates" >> beam.Create(list_files(f"{out}/candidates/*.parquet"))
            | "Read" >> beam.FlatMap(questions_by_collection, pieces(plan.settings).questions)
            | "LeadBack" >> beam.ParDo(_LeadBack(plan, passages, plan.folder("index")))
            | "Write" >> WriteRows(f"{out}/leading_back", QuestionRow)
        )
    return set(read_table(f"{out}/leading_back", QUESTIONS, ["query_key"])["query_key"].to_pylist())
