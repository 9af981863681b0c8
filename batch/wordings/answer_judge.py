"""The language model as a judge: does this prepared answer, with its passages, answer this question fully?

Its verdict is the probability of a yes against that of a no where the server tells it, else the share of yes in five
votes. Whether its word counts is found out in each collection: it must say yes to the questions that answers were
prepared for, and no to the nearest other ones and to questions about other subjects. A judge that says yes to
everything makes no wordings, and one that says no to everything no fences. Nothing is judged twice: a verdict is stored
by question, answer, template and model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from batch.generation.chats import Ask, Chat, Task
from batch.generation.judging import SAMPLING, verdict, verdict_text
from batch.generation.wording import filled_from
from batch.plan import Figures
from batch.wordings.cases import SURE, Case, Exam, Trust
from rag.identity import fingerprint, stable_hash, template_id
from rag.llm.protocol import Completion, Message, Sampling
from rag.prompting.template import fenced, own_template

_VOTES = tuple(Sampling(max_tokens=4, temperature=0.8, seed=seed) for seed in range(1, 5))
_MOST_PASSAGE_CHARACTERS = 6000
_MOST_MISTAKES = 0.1


@dataclass(frozen=True)
class Verdicts:
    """The probability that an answer fits, by the fingerprint of the case; trust by collection."""

    probabilities: Mapping[str, float]
    trust: Mapping[str, Trust]
    model: str
    figures: Figures

    def of(self, case: Case) -> float | None:
        """Return the probability that the answer fits, or None if it was not judged, or said neither yes nor no."""
        return self.probabilities.get(judging_key(case, self.model))

    def trusted(self, collection: str) -> Trust:
        """Return what counts of the judge's word in a collection."""
        return self.trust.get(collection, Trust())


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


def judging_key(case: Case, model: str, sampling: Sampling = SAMPLING) -> str:
    """Return the fingerprint of a verdict: that of the question, the answer, the template and the model."""
    answer = case.answer
    return fingerprint(
        query_key=stable_hash("judge_answer", case.text, answer.question, answer.answer),
        passages=[answer.fingerprint],
        template=template_id(_template()),
        model=model,
        sampling=sampling.identity(),
    )


def judge_cases(ask: Ask, model: str, stage: str, cases: Sequence[Case], exams: Mapping[str, Exam]) -> Verdicts:
    """Judge what was not judged before, as far as the run's tokens allow; exams first."""
    everything = [*(case for exam in exams.values() for case in (*exam.fitting, *exam.unfitting)), *cases]
    told, figures = _told(ask, model, stage, everything, SAMPLING)
    by_word = [case for case in everything if (said := told.get(judging_key(case, model))) and said.by_word]
    votes: dict[str, list[float]] = {}
    for number, sampling in enumerate(_VOTES if by_word else ()):
        said_again, spent = _told(ask, model, f"{stage}-vote{number + 2}", by_word, sampling)
        figures = {name: count + spent[name] for name, count in figures.items()}
        for case in by_word:
            if (vote := said_again.get(judging_key(case, model, sampling))) is not None and vote.yes is not None:
                votes.setdefault(judging_key(case, model), []).append(vote.yes)
    probabilities = {key: _mean([said.yes, *votes.get(key, ())]) for key, said in told.items() if said.yes is not None}
    found = Verdicts(probabilities, {}, model, {**figures, "judged": len(probabilities)})
    return replace(found, trust={name: _trust(exam, found) for name, exam in exams.items()})


def _mean(votes: Sequence[float]) -> float:
    return sum(votes) / len(votes)


@dataclass(frozen=True)
class _Said:
    """What the model said of a case: the probability of a yes, and whether it is only a word, which one vote is."""

    yes: float | None
    by_word: bool


def _told(
    ask: Ask, model: str, stage: str, cases: Iterable[Case], sampling: Sampling
) -> tuple[Mapping[str, _Said], dict[str, int]]:
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
        if (key := judging_key(case, model, sampling))
    }
    task = Task(stage, "answer_judgements", "verdicts", "it is not judged", _stored)
    replies = ask(task, [[chat] for chat in chats.values()])
    said = {key: _said(text) for key in chats if (text := replies.texts.get(key))}
    return said, {name: replies.figures[name] for name in ("asked", "rejects", "left_out")}


def _stored(completion: Completion) -> str:
    return json.dumps({**json.loads(verdict_text(completion)), "by_tokens": bool(completion.first_tokens)})


def _said(stored: str) -> _Said:
    yes = verdict(stored)
    return _Said(yes, yes is not None and not json.loads(stored).get("by_tokens"))


def _trust(exam: Exam, verdicts: Verdicts) -> Trust:
    said_yes = [said for case in exam.unfitting if (said := verdicts.of(case)) is not None]
    said_no = [said for case in exam.fitting if (said := verdicts.of(case)) is not None]
    return Trust(
        yes=_passes(sum(each >= SURE for each in said_yes), len(said_yes)),
        no=_passes(sum(each <= 1 - SURE for each in said_no), len(said_no)),
    )


def _passes(mistakes: int, judged: int) -> bool:
    return judged > 0 and mistakes <= judged * _MOST_MISTAKES


def _template() -> str:
    return own_template("judge_answer", "batch.wordings")
