"""Propose: questions that the corpus itself answers, for collections that want them (`proposals`).

The language model reads chunks, the first of each document before the second of any, and writes what people will ask
about them. A proposal is kept if retrieval leads from it back to its chunk: what the chunk does not answer seldom does.
What was written about a chunk is kept in a store of its own, so it is never generated twice.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import apache_beam as beam
import pyarrow.compute as pc

from batch.generation.prompt_order import batches
from batch.generation.proposing import SAMPLING, proposed, proposing_messages, proposing_template
from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.reading.question_files import Question, named_question, tidy_question
from batch.stages.anticipate import question_row
from batch.stages.generate import PromptBatch, Writing, write
from batch.stages.retrieve import embed_questions, load_chunks, question_vectors, questions_by_collection, rank
from batch.stores.generation_store import find_generations, known_fingerprints, made_by_run
from batch.stores.parquet import WriteRows, list_files, read_table, rows_to_table, write_table
from rag.errors import QuestionError
from rag.identity import fingerprint
from rag.retrieval.retriever import choose_passages
from warehouse.tables import CHUNKS, QUESTIONS

STAGE = "propose"

Row = dict[str, Any]


def wants_proposals(plan: RunPlan) -> bool:
    """Say whether any collection does."""
    return any(each.proposals for each in plan.collections.values())


def propose(plan: RunPlan) -> Figures:
    """Ask about the chunks that were not asked about before, and write the questions that lead back to their chunk."""
    out = plan.folder(STAGE)
    chats = [chat for name, each in plan.collections.items() for chat in _chats(plan, name, each.proposals)]
    known = known_fingerprints(plan.proposal_store)
    pending = [chat for chat in chats if chat["fingerprint"] not in known]
    cut = [PromptBatch(tuple(each)) for each in batches(pending, plan.settings.batch_size)]
    writing = Writing(STAGE, plan.proposal_store, SAMPLING, plan.run_id, plan.llm)
    rejects = write(plan, cut, writing, "passages")
    candidates = _candidates(plan, chats)
    write_table(f"{out}/candidates/candidates.parquet", rows_to_table(candidates, QUESTIONS))
    leading_back = _leading_back(plan)
    kept = _first_of_each_collection(plan, [row for row in candidates if row["query_key"] in leading_back])
    write_table(f"{out}/questions/questions.parquet", rows_to_table(kept, QUESTIONS))
    _, tokens = made_by_run(plan.proposal_store, plan.run_id)
    counts = {"passages_read": len(chats), "proposed": len(candidates), "kept": len(kept), "rejects": rejects}
    return counts | tokens


def _chats(plan: RunPlan, collection: str, count: int) -> Iterator[Row]:
    """Ask about as many chunks as questions are wanted: some give none, others up to three."""
    if not count:
        return
    table = read_table(
        f"{plan.folder('prepare')}/chunks", CHUNKS, ["collection", "chunk_id", "document_id", "position"]
    )
    rows = table.filter(pc.equal(table["collection"], collection)).to_pylist()
    rows = [row for row in rows if (collection, row["document_id"]) not in plan.withdrawn]
    rows.sort(key=lambda row: (row["position"], row["document_id"]))
    chunks = load_chunks(plan.folder("prepare"), collection)
    for row in rows[:count]:
        chunk = chunks[row["chunk_id"]]
        yield {
            "collection": collection,
            "chunk_id": chunk.chunk_id,
            "question": f"(questions about {chunk.title})",  # names the chat in a reject
            "messages": json.dumps([asdict(each) for each in proposing_messages(chunk)]),
            "fingerprint": fingerprint(
                query_key=STAGE,
                passages=[chunk.content_hash],
                template=proposing_template(),
                model=plan.llm.model_id,
                sampling=SAMPLING.identity(),
            ),
        }


def _candidates(plan: RunPlan, chats: list[Row]) -> list[Row]:
    """Read what was written, rows of the questions table: the first question of each chunk, then the second ones."""
    found = find_generations(plan.proposal_store, (chat["fingerprint"] for chat in chats))
    said = dict(zip(found["fingerprint"].to_pylist(), found["text"].to_pylist(), strict=True))
    written = [
        [_question(plan, chat, text) for text in proposed(said.get(chat["fingerprint"]) or "")] for chat in chats
    ]
    kept: dict[str, Question] = {}
    for each in itertools.chain.from_iterable(itertools.zip_longest(*written)):
        if each is not None:
            kept.setdefault(each.query_key, each)
    return [question_row(each) for each in kept.values()]


def _question(plan: RunPlan, chat: Row, text: str) -> Question | None:
    try:
        question = tidy_question(text, plan.settings.max_question_characters)
    except QuestionError:  # a model may write anything
        return None
    return named_question(chat["collection"], question, "corpus", chat["chunk_id"])


class _LeadBack(beam.DoFn):
    """(collection, candidates) → those that find the chunk that they come from among their passages."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    def process(self, batch: tuple[str, list[Row]]) -> Iterator[Row]:
        collection, rows = batch
        chunks = load_chunks(self._plan.folder("prepare"), collection)
        ranked = rank(self._plan, collection, rows, question_vectors(self._plan, rows), chunks.get)
        for row, found in zip(rows, ranked, strict=True):
            passages = choose_passages(found, chunks.get, self._plan.retrieval.passages)
            if row["detail"] in {passage.chunk.chunk_id for passage in passages}:
                yield row


def _leading_back(plan: RunPlan) -> set[str]:
    out = plan.folder(STAGE)
    embed_questions(plan, f"{out}/candidates")
    with running_pipeline(plan) as pipeline:
        _ = (
            pipeline
            | "Candidates" >> beam.Create(list_files(f"{out}/candidates/*.parquet"))
            | "Read" >> beam.FlatMap(questions_by_collection)
            | "LeadBack" >> beam.ParDo(_LeadBack(plan))
            | "Write" >> WriteRows(f"{out}/leading_back", QUESTIONS)
        )
    return set(read_table(f"{out}/leading_back", QUESTIONS, ["query_key"])["query_key"].to_pylist())


def _first_of_each_collection(plan: RunPlan, rows: list[Row]) -> list[Row]:
    """Keep as many as each collection wants, in their order."""
    kept: list[Row] = []
    for name, each in plan.collections.items():
        kept += [row for row in rows if row["collection"] == name][: each.proposals]
    return kept
