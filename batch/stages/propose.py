"""Propose: questions that the corpus itself answers, for collections that want them (`proposals`).

The language model reads chunks, the first of each document before the second of any, and writes what people will ask
about them. A proposal is kept if retrieval leads from it back to its chunk: what the chunk does not answer seldom does.
What was written about a chunk is kept in a store of its own, so it is never generated twice.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TypedDict

import pyarrow.compute as pc

from batch.generation.answer_stream import GenerationTask
from batch.generation.generating import generate_rows
from batch.generation.night_budget import BYTES_A_TOKEN, proposals_left
from batch.generation.prompt_files import ChatRow
from batch.generation.proposing import SAMPLING, proposed, proposing_messages, proposing_template
from batch.plan import Figures, RunPlan
from batch.questions.question_files import Question, named_question, tidy_question
from batch.retrieval.chunk_marks import chunk_marks
from batch.retrieval.leading_back import leading_back
from batch.retrieval.prepared_chunks import load_chunks
from batch.rows import question_row
from batch.stores.generation_store import find_generations, known_fingerprints, made_by_run
from batch.stores.parquet import read_table, rows_to_table, table_rows, write_table
from rag.errors import QuestionError
from rag.filters import Filters, Marks
from rag.identity import fingerprint
from rag.retrieval.passages import StoredChunk
from warehouse.tables import CHUNKS, QuestionRow

STAGE = "propose"


class ProposalChat(ChatRow):
    """The chat that asks for the questions of one chunk."""

    chunk_id: str


class _ChunkPlace(TypedDict):
    """The columns of the chunks table that say which chunks are asked about first."""

    collection: str
    chunk_id: str
    document_id: str
    position: int


def wants_proposals(plan: RunPlan) -> bool:
    """Whether any collection wants proposals."""
    return any(each.proposals for each in plan.collections.values())


def propose(plan: RunPlan) -> Figures:
    """Ask about chunks that were not asked about before, and write the questions that lead back to their chunks."""
    out = plan.folder(STAGE)
    chats = _all_chats(plan)
    known = known_fingerprints(plan.proposal_store)
    pending = _affordable(plan, [chat for chat in chats if chat["fingerprint"] not in known])
    optional = plan.settings.generate_with == "batch_files"  # there may be no server at all
    task = GenerationTask(STAGE, plan.proposal_store, SAMPLING, plan.run_id, plan.llm, optional=optional)
    rejects = generate_rows(plan, pending, task, "passages")
    candidates = _candidates(plan, chats)
    write_table(f"{out}/candidates/candidates.parquet", rows_to_table(candidates, QuestionRow))
    found = leading_back(plan, out, plan.retrieval.passages)
    kept = _first_of_each_collection(plan, [row for row in candidates if row["query_key"] in found])
    write_table(f"{out}/questions/questions.parquet", rows_to_table(kept, QuestionRow))
    _, tokens = made_by_run(plan.proposal_store, plan.run_id)
    counts = {"passages_read": len(chats), "proposed": len(candidates), "kept": len(kept), "rejects": rejects}
    return counts | tokens


def unasked_chunks(plan: RunPlan) -> int:
    """Return about how many chunks a run would ask for questions, of those that no earlier run has asked about."""
    known = known_fingerprints(plan.proposal_store)
    return sum(chat["fingerprint"] not in known for chat in _all_chats(plan))


def _all_chats(plan: RunPlan) -> list[ProposalChat]:
    return [chat for name, each in plan.collections.items() for chat in _chats(plan, name, each.proposals)]


def _affordable(plan: RunPlan, pending: list[ProposalChat]) -> list[ProposalChat]:
    """Return the first chats, as far as the run's tokens suffice; the others are asked in a later run."""
    left = proposals_left(plan)
    if left is None:
        return pending
    costs = [len(chat["messages"].encode()) // BYTES_A_TOKEN + SAMPLING.max_tokens for chat in pending]
    return pending[: sum(total <= left for total in itertools.accumulate(costs))]


def _chats(plan: RunPlan, collection: str, count: int) -> Iterator[ProposalChat]:
    """Yield a chat for as many chunks as questions are wanted: some chunks give none, others up to three."""
    if not count:
        return
    table = read_table(f"{plan.folder('prepare')}/chunks", CHUNKS, list(_ChunkPlace.__annotations__))
    rows = table_rows(table.filter(pc.equal(table["collection"], collection)), _ChunkPlace)
    rows = [row for row in rows if (collection, row["document_id"]) not in plan.withdrawn]
    rows.sort(key=lambda row: (row["position"], row["document_id"]))
    chunks = load_chunks(plan.folder("prepare"), collection)
    for row in rows[:count]:
        yield _chat(plan, collection, chunks[row["chunk_id"]])


def _chat(plan: RunPlan, collection: str, chunk: StoredChunk) -> ProposalChat:
    return {
        "collection": collection,
        "chunk_id": chunk.chunk_id,
        "question": f"(questions about {chunk.title})",
        "prefix": "",
        "messages": json.dumps([asdict(each) for each in proposing_messages(chunk)]),
        "fingerprint": fingerprint(
            query_key=STAGE,
            passages=[chunk.content_hash],
            template=proposing_template(),
            model=plan.llm.model_id,
            sampling=SAMPLING.identity(),
        ),
    }


def _candidates(plan: RunPlan, chats: list[ProposalChat]) -> list[QuestionRow]:
    """Return the proposed questions, each once: the first of each chunk, then the second ones."""
    found = find_generations(plan.proposal_store, (chat["fingerprint"] for chat in chats))
    marks = {name: chunk_marks(plan, name) for name, each in plan.collections.items() if each.filters}
    written: list[list[Question | None]] = []
    for chat in chats:
        generation = found.get(chat["fingerprint"])
        texts = proposed(generation["text"] or "") if generation else []
        filters = _filters(plan, chat, marks.get(chat["collection"], {}))
        written.append([_question(plan, chat, text, filters) for text in texts])
    kept: dict[str, Question] = {}
    for each in itertools.chain.from_iterable(itertools.zip_longest(*written)):
        if each is not None:
            kept.setdefault(each.query_key, each)
    return [question_row(each) for each in kept.values()]


def _filters(plan: RunPlan, chat: ProposalChat, marks: Mapping[str, Marks]) -> Filters:
    """Return the filters of the questions about a chunk: the values of its document."""
    return plan.collections[chat["collection"]].filtering.of_document(marks.get(chat["chunk_id"], ()))


def _question(plan: RunPlan, chat: ProposalChat, text: str, filters: Filters) -> Question | None:
    try:
        question = tidy_question(text, plan.settings.max_question_characters)
    except QuestionError:  # a model may write anything
        return None
    return named_question(chat["collection"], question, "corpus", chat["chunk_id"], filters)


def _first_of_each_collection(plan: RunPlan, rows: list[QuestionRow]) -> list[QuestionRow]:
    """Keep as many questions as each collection wants, in order."""
    kept: list[QuestionRow] = []
    for name, each in plan.collections.items():
        kept += [row for row in rows if row["collection"] == name][: each.proposals]
    return kept
