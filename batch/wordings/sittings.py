"""Sittings of the judge's exam, and what its word counts for after them.

It must say yes to the questions that answers were prepared for, and no to the nearest other ones and to questions about
other subjects. A judge that says yes to everything makes no wordings, and one that says no to everything no fences.

A run in which the exam went wholly wrong had a broken server, so the next run begins the exam anew. One that was failed
narrowly stands, since who tries often enough passes by chance. What was judged while the judge's word counted for
something else is judged anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from batch.plan import Figures
from batch.wordings.answer_judge import Judge, Verdicts, earlier_verdicts, judged
from batch.wordings.cases import SURE, Case, Exam, Trust

_MOST_MISTAKES = 0.1
_BROKEN = 1 / 3  # of a run's replies in half an exam: mistakes, or neither yes nor no
_FEW = 3  # replies; of fewer, a mistake says nothing about the server
_LEAST_JUDGED = 0.5  # of half an exam: a judge that goes away after three answers has not passed


@dataclass(frozen=True)
class _Half:
    """The cases of an exam that fit, where a no is a mistake, or those that don't, where a yes is."""

    cases: Sequence[Case]
    fits: bool

    def passed(self, verdicts: Verdicts) -> bool:
        said = [yes for case in self.cases if (yes := verdicts.of(case)) is not None]
        enough = bool(said) and len(said) >= len(self.cases) * _LEAST_JUDGED
        return enough and sum(map(self._is_wrong, said)) <= len(said) * _MOST_MISTAKES

    def broken(self, verdicts: Verdicts) -> bool:
        """Whether any run's server was broken."""
        by_run: dict[str, list[float | None]] = {}
        for case in self.cases:
            if (run := verdicts.run_of(case)) is not None:
                by_run.setdefault(run, []).append(verdicts.of(case))
        return any(
            len(said) >= _FEW and sum(yes is None or self._is_wrong(yes) for yes in said) > len(said) * _BROKEN
            for said in by_run.values()
        )

    def _is_wrong(self, yes: float) -> bool:
        return yes <= 1 - SURE if self.fits else yes >= SURE


def sit(judge: Judge, stage: str, exams: Mapping[str, Exam]) -> tuple[dict[str, Trust], int, Figures]:
    """Hold the exams of collections, as far as they were not held.

    Returns what counts of the judge's word in each, how many cases have a verdict, and what was asked.
    """
    before = {name: _broken_sittings(judge, name, exam) for name, exam in exams.items()}
    cases = [case for exam in exams.values() for case in (*exam.fitting, *exam.unfitting)]
    verdicts, figures = judged(judge, stage, cases, {name: len(each) for name, each in before.items()})
    trust = {name: _since(before[name], _trust(exam, verdicts)) for name, exam in exams.items()}
    return trust, sum(verdicts.of(case) is not None for case in cases), figures


def _broken_sittings(judge: Judge, collection: str, exam: Exam) -> list[Trust]:
    """Return what counted after each sitting that has to be repeated."""
    found: list[Trust] = []
    while True:
        verdicts = earlier_verdicts(judge, (*exam.fitting, *exam.unfitting), {collection: len(found)})
        if not any(half.broken(verdicts) for half in _halves(exam)):
            return found
        found.append(_trust(exam, verdicts))


def _since(before: Sequence[Trust], trust: Trust) -> Trust:
    """Return the trust with the first of the sittings since which it is the same."""
    sitting = len(before)
    while sitting and before[sitting - 1] == trust:
        sitting -= 1
    return replace(trust, sitting=sitting)


def _trust(exam: Exam, verdicts: Verdicts) -> Trust:
    fitting, unfitting = _halves(exam)
    return Trust(yes=unfitting.passed(verdicts), no=fitting.passed(verdicts))


def _halves(exam: Exam) -> tuple[_Half, _Half]:
    return _Half(exam.fitting, fits=True), _Half(exam.unfitting, fits=False)
