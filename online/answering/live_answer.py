"""The miss: retrieve, fill the prompt, ask the language model, link its references.

A live answer goes to those who asked this very question meanwhile, and into the journal, and to nobody else:
it reaches others when a batch run has generated it again and its audit has passed.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from online.answering.linked_text import LinkedText
from online.model.language_model import LanguageModel
from online.model.work_pool import WorkPool
from online.release.open_release import OpenRelease
from rag.errors import LlmRefusedError
from rag.identity import fingerprint
from rag.llm.protocol import Completion, Delta, Message, Sampling
from rag.prompting.citations import Linked, support
from rag.prompting.rewriting import SAMPLING, rewriting_messages, rewritten
from rag.retrieval.passages import Passage
from rag.retrieval.vectors import Vectors


@dataclass(frozen=True)
class Miss:
    """What is to be answered live. `vector` is the question's, `withdrawn` are document ids.

    `rewrite` says whether the language model is to put the question into other words to search for, `sampling` how
    the answer is to be drawn, if otherwise than usual.
    """

    collection: str
    question: str
    query_key: str
    vector: Vectors
    withdrawn: Collection[str]
    rewrite: bool = False
    sampling: Sampling | None = None


@dataclass(frozen=True)
class LiveOpening:
    """What is known before the first word: the passages of the prompt and, by them, the fingerprint.

    `rewritten` is what was searched for beside the question itself, if anything.
    """

    passages: Sequence[Passage]
    prompt: Sequence[Message]
    fingerprint: str
    retrieve_seconds: float
    queue_seconds: float
    rewritten: str | None = None


@dataclass(frozen=True)
class LiveAnswer:
    """A whole live answer. `support` says how much of it its passages bear out, from 0 to 1."""

    linked: Linked
    support: float
    completion: Completion
    generated_at: datetime.datetime
    llm_seconds: float


async def answer_live(
    miss: Miss,
    release: OpenRelease,
    model: LanguageModel,
    pool: WorkPool,
    on_opening: Callable[[LiveOpening], None],
    on_piece: Callable[[Delta], None] | None,
) -> LiveAnswer:
    """Answer one question; `on_piece` gets the message as it comes, or is None when nobody reads along.

    Raises:
        Problem: the queue is full, or the language model counts as down.
        LlmError: it gave no answer.
    """
    async with model.place() as place:
        started = time.perf_counter()
        search = await _rewritten(miss, model) if miss.rewrite else None
        passages = await pool.run(_retrieve, miss, release, search)
        prompt = release.template.messages(miss.question, passages)
        opening = LiveOpening(
            passages,
            prompt,
            _fingerprint(miss, release, model, passages),
            time.perf_counter() - started,
            place.queue_seconds,
            search,
        )
        on_opening(opening)
        started = time.perf_counter()
        text = LinkedText(passages)
        tell = None if on_piece is None else _shown(text, on_piece)
        completion = await model.ask(prompt, miss.sampling or model.sampling, tell)
        seconds = time.perf_counter() - started
    if on_piece is None:
        text.feed(completion.text)
    last, linked = text.finish()
    if on_piece is not None and last:
        on_piece(Delta(last))
    now = datetime.datetime.now(datetime.UTC)
    return LiveAnswer(linked, support(linked.text, passages, miss.question), completion, now, seconds)


async def _rewritten(miss: Miss, model: LanguageModel) -> str | None:
    try:
        said = await model.ask(rewriting_messages(miss.question), SAMPLING, None)
    except LlmRefusedError:  # the question alone is searched for then
        return None
    return rewritten(said.text, miss.question)


def _retrieve(miss: Miss, release: OpenRelease, search: str | None) -> list[Passage]:
    retriever = release.collection(miss.collection).retriever
    other = None if search is None else (search, release.encoder.embed([search])[0])
    return retriever.retrieve(miss.question, miss.vector, release.stored_chunk, miss.withdrawn, other)


def _fingerprint(miss: Miss, release: OpenRelease, model: LanguageModel, passages: Sequence[Passage]) -> str:
    return fingerprint(
        query_key=miss.query_key,
        passages=[passage.chunk.content_hash for passage in passages],
        template=release.template.id,
        model=model.llm.model,
        sampling=(miss.sampling or model.sampling).identity(),
    )


def _shown(text: LinkedText, on_piece: Callable[[Delta], None]) -> Callable[[Delta], None]:
    def feed(delta: Delta) -> None:
        shown = replace(delta, text=text.feed(delta.text))
        if shown.says_something:
            on_piece(shown)

    return feed
