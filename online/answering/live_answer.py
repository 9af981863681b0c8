"""A live answer to a miss: retrieve, fill the prompt, ask the language model, link its references.

It goes to those who asked this very question meanwhile, and into the journal. It reaches nobody else until a batch run
has generated it again and the audit has passed it.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from online.answering.question import LiveAnswer, Opening, Sought
from online.model.language_model import LanguageModel
from online.model.work_pool import WorkPool
from rag.errors import LlmRefusedError
from rag.identity import fingerprint
from rag.llm.protocol import Delta, Sampling
from rag.prompting.citations import LinkedText, support
from rag.prompting.rewriting import SAMPLING, rewriting_messages, rewritten
from rag.retrieval.passages import Passage

if TYPE_CHECKING:
    from online.release.open_release import OpenRelease


@dataclass(frozen=True)
class LiveQuestion:
    """A question to be answered live. `sought` has its vector, `withdrawn` are document ids.

    `rewrite` asks the language model for other words to search for; `sampling` overrides the model's own.
    """

    collection: str
    question: str
    query_key: str
    sought: Sought
    withdrawn: Collection[str]
    rewrite: bool = False
    sampling: Sampling | None = None


async def answer_live(
    asked: LiveQuestion,
    release: OpenRelease,
    model: LanguageModel,
    pool: WorkPool,
    on_opening: Callable[[Opening], None],
    on_piece: Callable[[Delta], None] | None,
) -> LiveAnswer:
    """Answer one question; `on_piece` gets the message as it streams, or is None where it does not.

    Raises:
        Problem: the queue is full, or the language model counts as down.
        LlmError: it gave no answer.
    """
    async with model.place() as place:
        started = time.perf_counter()
        search = await _rewritten(asked, model) if asked.rewrite else None
        passages = await pool.run(_retrieve, asked, release, search)
        prompt = release.template.messages(asked.question, passages)
        opening = Opening(
            release.release_id,
            asked.sought,
            passages,
            prompt,
            _fingerprint(asked, release, model, passages),
            time.perf_counter() - started,
            place.queue_seconds,
            search,
        )
        on_opening(opening)
        started = time.perf_counter()
        text = LinkedText(passages)
        tell = None if on_piece is None else _shown(text, on_piece)
        completion = await model.ask(prompt, asked.sampling or model.sampling, tell)
        seconds = time.perf_counter() - started
    if on_piece is None:
        text.feed(completion.text)
    last, linked = text.finish()
    if on_piece is not None and last:
        on_piece(Delta(last))
    now = datetime.datetime.now(datetime.UTC)
    return LiveAnswer(linked, support(linked.text, passages, asked.question), completion, now, seconds)


async def _rewritten(asked: LiveQuestion, model: LanguageModel) -> str | None:
    try:
        said = await model.ask(rewriting_messages(asked.question), SAMPLING, None)
    except LlmRefusedError:  # then the question alone is searched for
        return None
    return rewritten(said.text, asked.question)


def _retrieve(asked: LiveQuestion, release: OpenRelease, search: str | None) -> list[Passage]:
    retriever = release.collection(asked.collection).retriever
    other = None if search is None else (search, release.encoder.embed([search])[0])
    return retriever.retrieve(asked.question, asked.sought.vector, release.stored_chunk, asked.withdrawn, other)


def _fingerprint(asked: LiveQuestion, release: OpenRelease, model: LanguageModel, passages: Sequence[Passage]) -> str:
    return fingerprint(
        query_key=asked.query_key,
        passages=[passage.content_hash for passage in passages],
        template=release.template.id,
        model=model.llm.model,
        sampling=(asked.sampling or model.sampling).identity(),
    )


def _shown(text: LinkedText, on_piece: Callable[[Delta], None]) -> Callable[[Delta], None]:
    def feed(delta: Delta) -> None:
        shown = replace(delta, text=text.feed(delta.text))
        if shown.says_something:
            on_piece(shown)

    return feed
