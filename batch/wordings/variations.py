"""Variations of a question that the language model writes: other wordings in visitors' voices, and look-alikes.

A small model proposes rubbish, so nothing here is believed: `batch/stages/vary.py` keeps a wording that leads back to
its answer and that the judge confirms, and a look-alike that the judge refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from batch.generation.chats import Chat
from batch.generation.wording import filled_from, rewording, wordings
from batch.plan import RunPlan
from rag.identity import fingerprint, stable_hash, template_id
from rag.llm.protocol import Message
from rag.prompting.template import fenced, own_template

if TYPE_CHECKING:
    from batch.wordings.prepared_answers import PreparedAnswer

VariationKind = Literal["visitors", "lookalikes"]
_KINDS: tuple[VariationKind, ...] = ("visitors", "lookalikes")


@dataclass(frozen=True)
class Variation:
    """What the model wrote beside the question of an answer."""

    kind: VariationKind
    text: str
    answer: PreparedAnswer


def variation_chats(plan: RunPlan, answer: PreparedAnswer) -> list[Chat]:
    """Return the chats that ask for the variations of a question, for as many as its collection wants."""
    return [_chat(plan, answer, kind) for kind in _KINDS]


def variations(plan: RunPlan, answer: PreparedAnswer, said: Mapping[str, str]) -> Iterator[Variation]:
    """Yield what the model wrote, given its texts by fingerprint."""
    for kind in _KINDS:
        reply = said.get(_chat(plan, answer, kind).fingerprint, "")
        for text in wordings(reply, answer.question, _count(plan, answer, kind)):
            yield Variation(kind, text, answer)


def _chat(plan: RunPlan, answer: PreparedAnswer, kind: VariationKind) -> Chat:
    count = _count(plan, answer, kind)
    sampling = rewording(count)
    key = fingerprint(
        query_key=stable_hash(kind, answer.question, count),
        passages=[],
        template=template_id(_template(kind)),
        model=plan.llm.model_id,
        sampling=sampling.identity(),
    )
    return Chat(answer.collection, answer.question, key, partial(_messages, kind, answer, count), sampling)


def _count(plan: RunPlan, answer: PreparedAnswer, kind: VariationKind) -> int:
    wanted = plan.collections[answer.collection].wordings
    return wanted if kind == "visitors" else (wanted + 1) // 2


def _messages(kind: VariationKind, answer: PreparedAnswer, count: int) -> list[Message]:
    return filled_from(_template(kind), f"the template {kind}", question=fenced(answer.question), count=str(count))


def _template(kind: VariationKind) -> str:
    return own_template(kind, "batch.wordings")
