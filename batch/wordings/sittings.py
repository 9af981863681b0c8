"""Sittings of the judge's exam, and what its word counts for after them.

It must say yes to the questions that answers were prepared for, and no to the nearest other ones and to questions about
other subjects. A judge that says yes to everything makes no wordings, and one that says no to everything no fences.

A run in which the exam went wholly wrong had a broken server, so the next run begins the exam anew. One that was failed
narrowly stands, since who tries often enough passes by chance. What was judged while the judge's word counted for
something else is judged anew. In a run that has news for a judge of earlier runs, a few cases that it had right are
asked once more: a server that broke since is asked nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from batch.plan import Figures
from batch.wordings.answer_judge import COUNTED, Judge, Verdicts, earlier_verdicts, judged
from batch.wordings.cases import SURE, Case, Exam, Trust
from rag.paraphrase.calibration import at_most

_MOST_MISTAKES = 0.1
_RARE = 0.3
_BROKEN = 1 / 3  # of a run's replies in half an exam: mistakes, or neither yes nor no
_FEW = 3  # replies; of fewer, a mistake says nothing about the server
_ONCE_MORE = 5  # cases of half an exam
_LEAST_JUDGED = 0.5  # of half an exam: a judge that goes away after three answers has not passed


@dataclass(frozen=True)
class _Half:
    """The cases of an exam that fit, where a no is a mistake, or those that don't, where a yes is."""

    cases: Sequence[Case]
    fits: bool

    def passed(self, verdicts: Verdicts) -> bool:
        """Whether so many mistakes would not be rare if one in ten were wrong."""
        said = [yes for case in self.cases if (yes := verdicts.of(case)) is not None]
        if not said or len(said) < len(self.cases) * _LEAST_JUDGED:
            return False
        mistakes = sum(map(self._is_wrong, said))
        return not mistakes or at_most(mistakes - 1, len(said), _MOST_MISTAKES) <= 1 - _RARE

    def cut_off(self, verdicts: Verdicts) -> bool:
        """Whether too few cases had a reply, whatever it was."""
        return sum(map(verdicts.answered, self.cases)) < len(self.cases) * _LEAST_JUDGED

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

    def right(self, verdicts: Verdicts) -> list[Case]:
        """Return the cases about which the judge leaned the right way."""
        return [case for case in self.cases if (yes := verdicts.of(case)) is not None and (yes > 1 / 2) == self.fits]

    def worse(self, verdicts: Verdicts) -> bool:
        """Whether many of the cases have no verdict or a wrong one."""
        said = [verdicts.of(case) for case in self.cases]
        return sum(yes is None or self._is_wrong(yes) for yes in said) > len(said) * _BROKEN

    def _is_wrong(self, yes: float) -> bool:
        return yes <= 1 - SURE if self.fits else yes >= SURE


@dataclass(frozen=True)
class Judged:
    """What a judge said of cases, what counts of its word in each collection, and what was asked.

    `examined` is true if any of it was an exam or a part of one; the exams of the collections `cut_off` are unfinished.
    """

    verdicts: Verdicts
    trust: Mapping[str, Trust]
    figures: Figures
    examined: bool
    cut_off: frozenset[str] = frozenset()


def put(judge: Judge, stage: str, exams: Mapping[str, Exam], cases: Sequence[Case]) -> Judged:
    """Put cases to a judge where its word counts for something, which its exam tells first."""
    before = {name: _broken_sittings(judge, name, exam) for name, exam in exams.items()}
    held, for_exam = judged(judge, f"{stage}-exam", _all(exams), {name: len(each) for name, each in before.items()})
    trust = {name: _since(before[name], _trust(exam, held)) for name, exam in exams.items()}
    sittings = {name: each.sitting for name, each in trust.items()}
    known = earlier_verdicts(judge, cases, sittings)
    news = {case.answer.collection for case in cases if known.run_of(case) is None}
    chosen = {name: _right_before(judge, name, exams[name], len(before[name])) for name in news if trust[name].counts}
    checked, for_check = judged(judge, f"{stage}-check", _all(chosen), dict.fromkeys(chosen, judge.run))
    trust |= {name: Trust() for name, exam in chosen.items() if any(half.worse(checked) for half in _halves(exam))}
    counting = [case for case in cases if trust[case.answer.collection].counts]
    verdicts, for_cases = judged(judge, stage, counting, sittings)
    figures = {name: for_exam[name] + for_check[name] + for_cases[name] for name in COUNTED}
    found = [*map(held.of, _all(exams)), *map(verdicts.of, counting)]
    figures["judged"] = sum(each is not None for each in found)
    cut_off = frozenset(name for name, exam in exams.items() if any(half.cut_off(held) for half in _halves(exam)))
    return Judged(verdicts, trust, figures, bool(for_exam["asked"] or for_check["asked"]), cut_off)


def _all(exams: Mapping[str, Exam]) -> list[Case]:
    return [case for exam in exams.values() for case in (*exam.fitting, *exam.unfitting)]


def _right_before(judge: Judge, collection: str, exam: Exam, sitting: int) -> Exam:
    """Return a few cases of an exam that the judge had right in an earlier run."""
    verdicts = earlier_verdicts(judge, (*exam.fitting, *exam.unfitting), {collection: sitting})
    fitting, unfitting = (tuple(half.right(verdicts)[:_ONCE_MORE]) for half in _halves(exam))
    return Exam(fitting, unfitting)


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
