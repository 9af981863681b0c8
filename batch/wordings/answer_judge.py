"""The language model as a judge: does this prepared answer, with its passages, answer this question fully?

Its verdict is the probability of a yes against that of a no where the server tells it, else the share of yes in five
votes. It sits an exam first (`batch.wordings.sittings`), and cases are put to it only where its word counts. Nothing is
judged twice: a verdict is stored by question, answer, template, model and the sitting since which its word counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from batch.generation.chats import Ask, Chat, Task
from batch.generation.judging import SAMPLING, verdict, verdict_text
from batch.generation.wording import filled_from
from batch.plan import Figures
from batch.stores.generation_store import GenerationRow
from batch.wordings.cases import Case
from rag.identity import fingerprint, stable_hash, template_id
from rag.llm.protocol import Completion, Message, Sampling
from rag.prompting.template import fenced, own_template

_VOTES = tuple(Sampling(max_tokens=4, temperature=0.8, seed=seed) for seed in range(1, 5))
_MOST_PASSAGE_CHARACTERS = 6000
COUNTED = ("asked", "rejects", "left_out")
"""Figures of what was asked."""

Sitting = int | str
"""The number of an exam's sitting, or the run in which something was asked once more."""
Sittings = Mapping[str, Sitting]
"""The sitting that verdicts belong to, by collection."""


@dataclass(frozen=True)
class Judge:
    """A model as a run asks it; `earlier` returns what earlier runs stored of some verdicts, by fingerprint."""

    model: str
    run: str
    ask: Ask
    earlier: Callable[[Collection[str]], Mapping[str, GenerationRow]]


@dataclass(frozen=True)
class Verdicts:
    """What the model said, by fingerprint; `runs` are those that asked, where that matters."""

    texts: Mapping[str, str]
    model: str
    sittings: Sittings
    runs: Mapping[str, str] = field(default_factory=dict)

    def run_of(self, case: Case) -> str | None:
        """Return the run in which the model said something, or None."""
        return self.runs.get(self._key(case, SAMPLING))

    def answered(self, case: Case) -> bool:
        """Whether the model replied at all: the tokens sufficed, and the server was there."""
        return self._key(case, SAMPLING) in self.texts

    def of(self, case: Case) -> float | None:
        """Return the probability that the answer fits, or None if it was not judged, or said neither yes nor no."""
        stored = self.texts.get(self._key(case, SAMPLING), "")
        first = verdict(stored)
        if first is None or not _by_word(stored):
            return first
        said = (verdict(self.texts.get(self._key(case, sampling), "")) for sampling in _VOTES)
        votes = [first, *(vote for vote in said if vote is not None)]
        return sum(votes) / len(votes)

    def _key(self, case: Case, sampling: Sampling) -> str:
        return _key_in(self.sittings, case, self.model, sampling)


def judging_messages(case: Case) -> list[Message]:
    """Return the chat that asks whether an answer fits; answer and passages come first, as a shared prefix."""
    passages = "\n\n".join(case.answer.passages)[:_MOST_PASSAGE_CHARACTERS] or "(none)"
    return filled_from(
        _template(),
        "the template judge_answer",
        answer=fenced(case.answer.answer),
        passages=passages,
        prepared=fenced(case.answer.question),
        question=fenced(case.text),
    )


def judging_key(case: Case, model: str, sampling: Sampling = SAMPLING, sitting: Sitting = 0) -> str:
    """Return the fingerprint of a verdict: of the question, the answer, the template, the model and the sitting."""
    answer = case.answer
    again = (str(sitting),) if sitting else ()
    return fingerprint(
        query_key=stable_hash("judge_answer", case.text, answer.question, answer.answer, *again),
        passages=[answer.fingerprint],
        template=template_id(_template()),
        model=model,
        sampling=sampling.identity(),
    )


def _key_in(sittings: Sittings, case: Case, model: str, sampling: Sampling) -> str:
    return judging_key(case, model, sampling, sittings[case.answer.collection])


def earlier_verdicts(judge: Judge, cases: Sequence[Case], sittings: Sittings) -> Verdicts:
    """Return what was said of cases in earlier runs."""
    keys = {_key_in(sittings, case, judge.model, sampling) for case in cases for sampling in (SAMPLING, *_VOTES)}
    rows = judge.earlier(keys)
    texts = {key: row["text"] for key, row in rows.items()}
    return Verdicts(texts, judge.model, sittings, {key: row["run_id"] for key, row in rows.items()})


def judged(judge: Judge, stage: str, cases: Sequence[Case], sittings: Sittings) -> tuple[Verdicts, Figures]:
    """Judge what was not judged before, as far as the run's tokens allow; who gives no probabilities votes."""
    texts, total = _told(judge, stage, cases, SAMPLING, sittings)
    by_word = [case for case in cases if _by_word(texts.get(_key_in(sittings, case, judge.model, SAMPLING), ""))]
    for number, sampling in enumerate(_VOTES if by_word else (), start=2):
        votes, spent = _told(judge, f"{stage}-vote{number}", by_word, sampling, sittings)
        texts |= votes
        total.update(spent)
    return Verdicts(texts, judge.model, sittings), {name: total[name] for name in COUNTED}


def _told(
    judge: Judge, stage: str, cases: Iterable[Case], sampling: Sampling, sittings: Sittings
) -> tuple[dict[str, str], Counter[str]]:
    chats = {
        key: Chat(
            case.answer.collection,
            case.answer.question,
            key,
            partial(judging_messages, case),
            sampling,
            place=case.answer.query_key,
        )
        for case in cases
        if (key := _key_in(sittings, case, judge.model, sampling))
    }
    task = Task(stage, "answer_judgements", "verdicts", "it is not judged", _stored)
    replies = judge.ask(task, [[chat] for chat in chats.values()])
    return dict(replies.texts), Counter({name: replies.figures[name] for name in COUNTED})


def _stored(completion: Completion) -> str:
    return json.dumps({**json.loads(verdict_text(completion)), "by_tokens": bool(completion.first_tokens)})


def _by_word(stored: str) -> bool:
    """Whether a verdict is only a word, which one vote is."""
    return verdict(stored) is not None and not json.loads(stored).get("by_tokens")


def _template() -> str:
    return own_template("judge_answer", "batch.wordings")
