"""Reword: other wordings of each anticipated question, for collections that want them (`rewordings`, `sketch`).

Writes the table wordings below `<out>`; `retrieve` searches for them beside the question.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from batch.generation.asking import ask
from batch.generation.chats import Chat, Replies, Task
from batch.generation.wording import (
    SKETCHING,
    prompt_id,
    rewording,
    rewording_messages,
    sketch,
    sketching_messages,
    wordings,
)
from batch.plan import Assistance, Figures, RunPlan
from batch.retrieval.question_ranking import embed_questions
from batch.rows import WordingRow
from batch.stores.parquet import read_rows, rows_to_table, write_table
from rag.identity import fingerprint, stable_hash
from rag.llm.protocol import Sampling
from warehouse.tables import QuestionRow

STAGE = "reword"
_TASK = Task(STAGE, "wordings", "questions", "it is searched for in its own words only")


def wants_wordings(plan: RunPlan) -> bool:
    """Whether any collection wants other wordings of its questions."""
    return any(_wanted(plan.assistance(name)) for name in plan.collections)


def _wanted(assistance: Assistance) -> bool:
    return bool(assistance.rewordings or assistance.sketch)


def reword(plan: RunPlan) -> Figures:
    """Ask for the wordings that are not known, and embed those that are new."""
    rows = read_rows(f"{plan.folder('anticipate')}/questions", QuestionRow)
    asked = [row for row in rows if row["origin"] != "curated" and _wanted(plan.assistance(row["collection"]))]
    asked.sort(key=lambda row: (-row["weight"], row["query_key"]))  # what a budget leaves out matters least
    replies = ask(plan, _TASK, [_chats(plan, row) for row in asked])
    found = [each for row in asked for each in _wordings(plan, row, replies)]
    folder = f"{plan.folder(STAGE)}/wordings"
    write_table(f"{folder}/wordings.parquet", rows_to_table(found, WordingRow))
    return {"wordings": len(found), "embedded": embed_questions(plan, folder), **replies.figures}


def _chats(plan: RunPlan, row: QuestionRow) -> list[Chat]:
    question, assistance = row["question"], plan.assistance(row["collection"])
    chats: list[Chat] = []
    if count := assistance.rewordings:
        key, sampling = _key(plan, "reword", question, rewording(count), count), rewording(count)
        chats.append(Chat(row["collection"], question, key, partial(rewording_messages, question, count), sampling))
    if assistance.sketch:
        key = _key(plan, "sketch", question, SKETCHING)
        chats.append(Chat(row["collection"], question, key, partial(sketching_messages, question), SKETCHING))
    return chats


def _key(plan: RunPlan, prompt: str, question: str, sampling: Sampling, count: int = 1) -> str:
    return fingerprint(
        query_key=stable_hash(prompt, question, count),
        passages=[],
        template=prompt_id(prompt),
        model=plan.llm.model_id,
        sampling=sampling.identity(),
    )


def _wordings(plan: RunPlan, row: QuestionRow, replies: Replies) -> Iterator[WordingRow]:
    question, count = row["question"], plan.assistance(row["collection"]).rewordings
    for chat in _chats(plan, row):
        said = replies.texts.get(chat.fingerprint, "")
        sketched = chat.sampling == SKETCHING
        texts = [sketch(said)] if sketched else wordings(said, question, count)
        for text in filter(None, texts):
            yield {
                "collection": row["collection"],
                "query_key": row["query_key"],
                "question": text,
                "sketched": sketched,
            }
