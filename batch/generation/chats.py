"""Chats that a stage wants to have with the language model beside answers, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from batch.plan import Figures
from rag.llm.protocol import Completion, Message, Sampling


@dataclass(frozen=True)
class Chat:
    """A chat to ask: `about` names it in a reject, `place` decides its neighbours, which share a prefix."""

    collection: str
    about: str
    fingerprint: str
    messages: Callable[[], list[Message]]
    sampling: Sampling
    place: str = ""


@dataclass(frozen=True)
class Task:
    """What a stage asks for: the store, what a chat's reply is stored as, and the words for a person.

    `unit` is what the progress display counts, `loss` what becomes of a question or chunk that is left out.
    """

    stage: str
    kind: str
    unit: str
    loss: str
    text: Callable[[Completion], str] = attrgetter("text")


@dataclass(frozen=True)
class Replies:
    """What the model wrote, by fingerprint, and the stage's figures."""

    texts: Mapping[str, str]
    figures: Figures


Ask = Callable[[Task, Sequence[Sequence[Chat]]], Replies]
"""Asks groups of chats; `batch.generation.asking.ask` for a plan."""
