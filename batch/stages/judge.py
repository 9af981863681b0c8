"""Judge: the language model reads the first candidates of each question, for collections that want it (`judge`).

Writes the tables candidates and verdicts below `<out>`; `retrieve` ranks the candidates again by the verdicts. The
chats are ordered by passage, which comes first in the prompt, so that the server computes each passage once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import apache_beam as beam

from batch.generation.asking import ask
from batch.generation.chats import Chat, Task
from batch.generation.judging import SAMPLING, judging_key, judging_messages, verdict, verdict_text
from batch.memory import pieces
from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.retrieval.assisted_ranking import rank_assisted
from batch.retrieval.prepared_chunks import load_chunks
from batch.retrieval.question_ranking import embed_questions, questions_by_collection
from batch.rows import CandidateRow, VerdictRow
from batch.stores.parquet import WriteRows, list_files, read_rows, rows_to_table, write_table
from rag.retrieval.passages import StoredChunk, says_something
from warehouse.tables import QuestionRow

STAGE = "judge"
_TASK = Task(STAGE, "judgements", "passages", "it keeps its place among the candidates", verdict_text)


def wants_judge(plan: RunPlan) -> bool:
    """Whether any collection wants its candidates judged."""
    return any(plan.assistance(name).judge for name in plan.collections)


class _Candidates(beam.DoFn):
    """(collection, questions) → the candidates to judge."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    def process(self, batch: tuple[str, list[QuestionRow]]) -> Iterator[CandidateRow]:
        collection, rows = batch
        assistance = self._plan.assistance(collection)
        rows = [row for row in rows if row["origin"] != "curated"]
        if not assistance.judge or not rows:
            return
        chunks = load_chunks(self._plan.folder("prepare"), collection)
        found = rank_assisted(self._plan, collection, rows, chunks.get, replace(assistance, judge=0))
        for row, each in zip(rows, found, strict=True):
            for candidate in each.ranked[: assistance.judge]:
                if says_something(chunks[candidate.chunk_id]):
                    yield {
                        "collection": collection,
                        "query_key": row["query_key"],
                        "question": row["question"],
                        "weight": row["weight"],
                        "rank": candidate.rank,
                        "chunk_id": candidate.chunk_id,
                    }


def judge(plan: RunPlan) -> Figures:
    """Have the candidates judged that were not judged before, as far as the run's tokens allow."""
    candidates = _candidates(plan)
    chunks = {name: load_chunks(plan.folder("prepare"), name) for name in plan.collections}
    chats = [_chat(plan, row, chunks[row["collection"]]) for row in candidates]
    groups: dict[str, list[Chat]] = {}
    for row, chat in zip(candidates, chats, strict=True):
        groups.setdefault(row["query_key"], []).append(chat)
    replies = ask(plan, _TASK, list(groups.values()))
    said = [replies.texts.get(chat.fingerprint) for chat in chats]
    verdicts = [
        _verdict_row(row, yes)
        for row, text in zip(candidates, said, strict=True)
        if text is not None and (yes := verdict(text)) is not None
    ]
    write_table(f"{plan.folder(STAGE)}/verdicts/verdicts.parquet", rows_to_table(verdicts, VerdictRow))
    unclear = sum(text is not None for text in said) - len(verdicts)
    return {"candidates": len(candidates), "judged": len(verdicts), "unclear": unclear, **replies.figures}


def _candidates(plan: RunPlan) -> list[CandidateRow]:
    """Rank the questions, and return the first candidates of each, of the weightiest questions first."""
    questions, out = f"{plan.folder('anticipate')}/questions", f"{plan.folder(STAGE)}/candidates"
    embed_questions(plan, questions)
    with running_pipeline(plan) as pipeline:
        _ = (
            pipeline
            | "Questions" >> beam.Create(list_files(f"{questions}/*.parquet"))
            | "Read" >> beam.FlatMap(questions_by_collection, pieces(plan.settings).questions)
            | "Rank" >> beam.ParDo(_Candidates(plan))
            | "Write" >> WriteRows(out, CandidateRow)
        )
    rows = read_rows(out, CandidateRow)
    return sorted(rows, key=lambda row: (-row["weight"], row["query_key"], row["rank"]))


def _verdict_row(row: CandidateRow, yes: float) -> VerdictRow:
    return {"collection": row["collection"], "query_key": row["query_key"], "chunk_id": row["chunk_id"], "yes": yes}


def _chat(plan: RunPlan, row: CandidateRow, chunks: Mapping[str, StoredChunk]) -> Chat:
    question, chunk = row["question"], chunks[row["chunk_id"]]
    key = judging_key(question, chunk, plan.llm.model_id)
    messages = partial(judging_messages, question, chunk)
    return Chat(row["collection"], question, key, messages, SAMPLING, place=chunk.content_hash)
