"""Enrich: questions about each chunk as further keys of it, for collections that want them (`chunk_questions`).

The language model reads every chunk and writes questions that it answers. Those that lead back to their chunk stay
(Doc2Query--, arXiv 2301.03266): their vectors become an index of their own, their words part of the chunk's in the
lexical index. A release carries both, so live questions profit too. Writes `<out>/<collection>/` as `index` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from batch.generation.asking import ask
from batch.generation.chats import Chat, Task
from batch.generation.proposing import key_messages, proposed
from batch.generation.wording import prompt_id
from batch.plan import Figures, RunPlan
from batch.questions.question_files import named_question, tidy_question
from batch.retrieval.chunk_marks import chunk_marks
from batch.retrieval.index_building import build_indexes
from batch.retrieval.leading_back import leading_back
from batch.retrieval.prepared_chunks import collection_chunks, load_chunks
from batch.rows import ChunkQuestionRow, question_row
from batch.stores.parquet import rows_to_table, write_table
from rag.errors import QuestionError
from rag.filters import Filters
from rag.identity import fingerprint, stable_hash
from rag.llm.protocol import Sampling
from rag.retrieval.passages import StoredChunk, says_something
from warehouse.tables import QuestionRow

STAGE = "enrich"
_TASK = Task(STAGE, "chunk_questions", "chunks", "no questions about it are keys")
_NEAR = 10  # a question is a key if its chunk is among so many passages: nearer ones need no key, farther ones stray


def wants_chunk_questions(plan: RunPlan) -> bool:
    """Whether any collection wants questions about its chunks as keys."""
    return any(plan.assistance(name).chunk_questions for name in plan.collections)


def enrich(plan: RunPlan) -> Figures:
    """Ask about the chunks that were not asked about before, and build the indexes with what leads back."""
    out = plan.folder(STAGE)
    wanting = [name for name in plan.collections if plan.assistance(name).chunk_questions]
    asked = [(name, chunk) for name in wanting for chunk in _chunks(plan, name)]
    chats = [_chat(plan, name, chunk) for name, chunk in asked]
    replies = ask(plan, _TASK, [[chat] for chat in chats])
    marks = {name: chunk_marks(plan, name) if plan.collections[name].filters else {} for name in wanting}
    candidates: dict[str, QuestionRow] = {}
    for (name, chunk), chat in zip(asked, chats, strict=True):
        filters = plan.collections[name].filtering.of_document(marks[name].get(chunk.chunk_id, ()))
        for row in _questions(plan, name, chunk, filters, replies.texts.get(chat.fingerprint, "")):
            candidates.setdefault(row["query_key"], row)
    write_table(f"{out}/candidates/candidates.parquet", rows_to_table(list(candidates.values()), QuestionRow))
    kept = leading_back(plan, out, _NEAR)
    for name in wanting:
        found = [row for row in candidates.values() if row["collection"] == name and row["query_key"] in kept]
        build_indexes(plan, name, f"{out}/{name}", [_key_row(row) for row in found])
    return {"chunks": len(asked), "proposed": len(candidates), "kept": len(kept), **replies.figures}


def _chunks(plan: RunPlan, collection: str) -> list[StoredChunk]:
    """Return the chunks to ask about, the first of each document before the second of any."""
    prepared = plan.folder("prepare")
    chunks = load_chunks(prepared, collection)
    rows = [
        row
        for row in collection_chunks(prepared, collection)
        if (collection, row["document_id"]) not in plan.withdrawn and says_something(chunks[row["chunk_id"]])
    ]
    rows.sort(key=lambda row: (row["position"], row["document_id"]))
    return [chunks[row["chunk_id"]] for row in rows]


def _chat(plan: RunPlan, collection: str, chunk: StoredChunk) -> Chat:
    count = plan.assistance(collection).chunk_questions
    sampling = Sampling(max_tokens=32 * count + 16)
    key = fingerprint(
        query_key=stable_hash(STAGE, count),
        passages=[chunk.content_hash],
        template=prompt_id("ask_chunk"),
        model=plan.llm.model_id,
        sampling=sampling.identity(),
    )
    return Chat(collection, f"(questions about {chunk.title})", key, partial(key_messages, chunk, count), sampling)


def _questions(
    plan: RunPlan, collection: str, chunk: StoredChunk, filters: Filters, said: str
) -> Iterator[QuestionRow]:
    for text in proposed(said, plan.assistance(collection).chunk_questions):
        try:
            question = tidy_question(text, plan.settings.max_question_characters)
            yield question_row(named_question(collection, question, "corpus", chunk.chunk_id, filters))
        except QuestionError:  # a model may write anything
            continue


def _key_row(row: QuestionRow) -> ChunkQuestionRow:
    return {"collection": row["collection"], "chunk_id": row["detail"], "question": row["question"]}
