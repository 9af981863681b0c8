"""A live answer to a miss: retrieve, fill the prompt, ask the language model, link its references.

It is judged by the rules of the audit (`rag.prompting.answer_rules`). It goes to those who asked this very question
meanwhile, and into the journal. It reaches nobody else until a batch run has generated it again and the audit has
passed it.
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
from rag.filters import Filters
from rag.identity import fingerprint
from rag.llm.protocol import Completion, Delta, Sampling
from rag.prompting.answer_rules import AnswerRules, VisibleText, fault, without_reasoning
from rag.prompting.citations import LinkedText, bare_words, link
from rag.prompting.rewriting import SAMPLING, rewriting_messages, rewritten
from rag.prompting.support import support
from rag.retrieval.passages import Passage

if TYPE_CHECKING:
    from online.release.open_release import OpenRelease

_SHORT = 400  # characters, judged in some 2 ms; a thread of its own would take as long where the interpreter is busy


@dataclass(frozen=True)
class LiveQuestion:
    """A question to be answered live. `sought` has its vector, `withdrawn` are document ids.

    `rules` are those that the answer is judged by, `model_id` is the model's id in the release. `rewrite` asks the
    language model for other words to search for; `sampling` overrides the model's own. Passages fit the `filters`.
    """

    collection: str
    question: str
    query_key: str
    sought: Sought
    withdrawn: Collection[str]
    rules: AnswerRules
    model_id: str
    rewrite: bool = False
    sampling: Sampling | None = None
    filters: Filters = ()


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
        retrieved = asked.sought.retrieved if search is None else None
        if retrieved is None:
            passages = await pool.run(_retrieve, asked, release, search)
        else:
            passages = retrieved.passages
            started -= retrieved.seconds
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
        shown = None if on_piece is None else _Shown(passages, on_piece)
        completion = await model.ask(prompt, asked.sampling or model.sampling, None if shown is None else shown.feed)
        seconds = time.perf_counter() - started
    if shown is not None:
        shown.finish()
    if len(completion.text) <= _SHORT:
        return _judged(asked, release, passages, completion, seconds)
    return await pool.finish(_judged, asked, release, passages, completion, seconds)


def _judged(
    asked: LiveQuestion, release: OpenRelease, passages: Sequence[Passage], completion: Completion, seconds: float
) -> LiveAnswer:
    text, reasoning = without_reasoning(completion.text)
    linked = link(text, passages)
    languages = release.collection(asked.collection).retriever.languages
    supported = support(linked.text, passages, asked.question, languages)
    cited = sum(each.kind == "cited" for each in linked.citations)
    found = fault(
        linked.text,
        finish_reason="tool_calls" if completion.message.get("tool_calls") else completion.finish_reason,
        support=supported,
        cited=cited,
        consulted=len(linked.citations) - cited,
        rules=asked.rules,
    )
    now = datetime.datetime.now(datetime.UTC)
    said = bare_words("\n".join([linked.text, reasoning or "", *completion.others.values()]))
    return LiveAnswer(linked, supported, completion, now, seconds, said, reasoning, found)


async def _rewritten(asked: LiveQuestion, model: LanguageModel) -> str | None:
    try:
        said = await model.ask(rewriting_messages(asked.question), SAMPLING, None)
    except LlmRefusedError:  # then the question alone is searched for
        return None
    return rewritten(without_reasoning(said.text)[0], asked.question)


def _retrieve(asked: LiveQuestion, release: OpenRelease, search: str | None) -> Sequence[Passage]:
    retriever = release.collection(asked.collection).retriever
    other = None if search is None else (search, release.encoder.embed([search])[0])
    return retriever.retrieve(
        asked.question, asked.sought.vector, release.stored_chunk, asked.withdrawn, other, filters=asked.filters
    )


def _fingerprint(asked: LiveQuestion, release: OpenRelease, model: LanguageModel, passages: Sequence[Passage]) -> str:
    return fingerprint(
        query_key=asked.query_key,
        passages=[passage.content_hash for passage in passages],
        template=release.template.id,
        model=asked.model_id,
        sampling=(asked.sampling or model.sampling).identity(),
    )


class _Shown:
    """What a stream shows of the model's text: no reasoning, and references only to passages of the prompt."""

    def __init__(self, passages: Sequence[Passage], on_piece: Callable[[Delta], None]) -> None:
        self._visible = VisibleText()
        self._linked = LinkedText(passages)
        self._on_piece = on_piece

    def feed(self, delta: Delta) -> None:
        """Take a piece and show what can be shown."""
        self._show(replace(delta, text=self._linked.feed(self._visible.feed(delta.text))))

    def finish(self) -> None:
        """Show what was held back."""
        text = self._linked.feed(self._visible.finish())
        self._show(Delta(text + self._linked.finish()[0]))

    def _show(self, delta: Delta) -> None:
        if delta.says_something:
            self._on_piece(delta)
