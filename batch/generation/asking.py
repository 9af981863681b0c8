"""Asking the language model for retrieval's sake: wordings, verdicts, questions about chunks.

Nothing here may end a run: what the model refuses, or does not answer because it is away, is counted and left out, and
retrieval goes on without it. What was ever written is in a store, so nothing is asked twice. The tokens of a run are
limited (`batch.generation.night_budget`): whole groups of chats (all about one question) are asked or left out, by an
estimate that errs on the dear side.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from batch.generation.answer_stream import GenerationTask
from batch.generation.chats import Chat, Replies, Task
from batch.generation.generating import generate_rows
from batch.generation.night_budget import BYTES_A_TOKEN, help_left
from batch.generation.prompt_files import ChatRow
from batch.plan import Figures, RunPlan
from batch.rejects import reject_row
from batch.stores.generation_store import find_generations, known_fingerprints, made_by_run
from batch.stores.parquet import empty_folder, read_rows, rows_to_table, write_table
from rag.llm.protocol import Sampling
from rag.text.table_files import Reject
from warehouse.tables import RejectRow

_TOGETHER = 4096  # chats whose prompts are in memory at once


@dataclass(frozen=True)
class _Failure:
    """A chat without a reply."""

    collection: str
    about: str
    reason: str


def ask(plan: RunPlan, task: Task, groups: Sequence[Sequence[Chat]]) -> Replies:
    """Ask what is not known, as far as the run's tokens allow; return every reply that there is."""
    store = plan.retrieval_store(task.kind)
    known = known_fingerprints(store)
    pending = [[chat for chat in group if chat.fingerprint not in known] for group in groups]
    chosen, left_out = _affordable(plan, [group for group in pending if group])
    chats = {chat.fingerprint: chat for group in chosen for chat in group}
    failed = _generate(plan, task, sorted(chats.values(), key=lambda chat: (chat.place, chat.fingerprint)))
    _write_rejects(plan, task, failed, left_out)
    wanted = [chat.fingerprint for group in groups for chat in group]
    texts = {key: row["text"] for key, row in find_generations(store, wanted).items()}
    _, tokens = made_by_run(store, plan.run_id)
    counts = {"asked": len(chats), "rejects": len(failed), "left_out": sum(map(len, left_out))}
    return Replies(texts, counts | tokens)


def _affordable(
    plan: RunPlan, pending: Sequence[Sequence[Chat]]
) -> tuple[Sequence[Sequence[Chat]], Sequence[Sequence[Chat]]]:
    """Return the groups that the run's tokens suffice for, and those that are left out."""
    left = help_left(plan)
    if left is None:
        return pending, ()
    for number, group in enumerate(pending):
        left -= sum(map(_estimate, group))
        if left < 0:
            return pending[:number], pending[number:]
    return pending, ()


def tokens_of(plan: RunPlan, kinds: Iterable[str]) -> Figures:
    """Return the tokens that this run has spent so far on what some stores hold, by kind of token."""
    total: Counter[str] = Counter(prompt_tokens=0, completion_tokens=0, cached_tokens=0)
    for kind in kinds:
        total.update(made_by_run(plan.retrieval_store(kind), plan.run_id)[1])
    return total


def _estimate(chat: Chat) -> int:
    """Return what a chat costs at most, prompt included."""
    size = sum(len(message.content.encode()) for message in chat.messages())
    return size // BYTES_A_TOKEN + chat.sampling.max_tokens


def _generate(plan: RunPlan, task: Task, chats: Sequence[Chat]) -> list[_Failure]:
    """Ask in rounds; stop where a whole round fails, since the model is away."""
    failed: list[_Failure] = []
    for sampling in dict.fromkeys(chat.sampling for chat in chats):
        mine = [chat for chat in chats if chat.sampling == sampling]
        for start in range(0, len(mine), _TOGETHER):
            asked = mine[start : start + _TOGETHER]
            lost = _round(plan, task, sampling, asked)
            failed += lost
            if len(lost) == len(asked):
                unasked = mine[start + _TOGETHER :]
                failed += [_Failure(chat.collection, chat.about, lost[-1].reason) for chat in unasked]
                break
    return failed


def _round(plan: RunPlan, task: Task, sampling: Sampling, chats: Sequence[Chat]) -> list[_Failure]:
    store = plan.retrieval_store(task.kind)
    job = GenerationTask(task.stage, store, sampling, plan.run_id, plan.llm, task.text, optional=True)
    if not generate_rows(plan, [_row(chat) for chat in chats], job, task.unit):
        return []
    rejects = read_rows(f"{plan.folder(task.stage)}/rejects", RejectRow)
    return [_Failure(row["collection"], row["item"], row["reason"]) for row in rejects]


def _row(chat: Chat) -> ChatRow:
    return {
        "collection": chat.collection,
        "question": chat.about,
        "fingerprint": chat.fingerprint,
        "prefix": chat.place,
        "messages": json.dumps([asdict(each) for each in chat.messages()]),
    }


def _write_rejects(plan: RunPlan, task: Task, failed: Iterable[_Failure], left_out: Sequence[Sequence[Chat]]) -> None:
    """Write one reject a collection and reason: a judge that is away fails forty times a question."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in failed:
        reasons.setdefault((each.collection, each.reason), []).append(each.about)
    rejects = [
        Reject(items[0] if len(items) == 1 else f"{items[0]} and {len(items) - 1} more", f"{task.loss}: {reason}")
        for (_, reason), items in reasons.items()
    ]
    collections = [collection for collection, _ in reasons]
    for collection, count in Counter(group[0].collection for group in left_out).items():
        reason = f"{task.loss}: {_limit(plan)} is spent; raise it, or let the next run go on"
        rejects.append(Reject(f"{count} {task.unit}", reason))
        collections.append(collection)
    rows = [
        reject_row(plan.run_id, task.stage, collection, reject)
        for collection, reject in zip(collections, rejects, strict=True)
    ]
    empty_folder(f"{plan.folder(task.stage)}/rejects")
    write_table(f"{plan.folder(task.stage)}/rejects/rejects.parquet", rows_to_table(rows, RejectRow))


def _limit(plan: RunPlan) -> str:
    """Name the setting whose tokens are spent."""
    if plan.retrieval.offline_tokens is None:
        return f"the help's half of [batch] budget_tokens = {plan.settings.budget_tokens}"
    return f"[retrieval] offline_tokens = {plan.retrieval.offline_tokens}"
