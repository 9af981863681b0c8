"""What a question is expected to be asked tomorrow.

A question's rate is a mean over the days of the history, recent days counting more: a day loses half its weight in
`_HALF_LIFE` days. To it are added `_PRIOR_DAYS` days at the rate that questions of its kind have on average, times its
weight; so a new question of the team's list starts at what such questions are asked, and one that is not asked for
weeks sinks. Proposals are asked less than the team's own questions: a tenth, until the history tells.

The half-life and the prior are round numbers; `beforehand plan` replays the history with them, so that anyone can see
what they are worth on their own traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

_HALF_LIFE = 14.0  # days
_PRIOR_DAYS = 7.0
_PROPOSED = 0.1  # of the team's own questions

Asked = Mapping[str, Mapping[date, int]]
"""How often each question was asked, by its key and by day."""


@dataclass(frozen=True)
class Anticipated:
    """A question as far as its value goes; `times` is how often all phrasings that it stands for were asked."""

    query_key: str
    origin: str
    weight: float = 1.0
    times: int = 0
    wordings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Record:
    """What the history says of a question: how often it was asked, recent days counting more, and in all."""

    recent: float
    total: int


@dataclass(frozen=True)
class Forecast:
    """Expected hits a day of questions, by key, for one day; `days` of history that it rests on."""

    hits: Mapping[str, float]
    days: int
    rates: Mapping[str, float] = field(default_factory=dict)


def forecast(questions: Sequence[Anticipated], asked: Asked, on: date, *, going_on: bool = False) -> Forecast:
    """Return what each question is expected to be asked `on` a day, from the days before it.

    With `going_on`, the day before is not over: what was asked on it counts, the day itself does not.
    """
    first = min((day for days in asked.values() for day in days if day < on), default=None)
    days = (on - first).days if first else 0
    seen = sum(_fading(age) for age in range(2 if going_on and days > 1 else 1, days + 1))
    records = {each.query_key: _record(each, asked, on) for each in questions}
    rates = _rates(questions, records, seen)
    hits = {each.query_key: _expected(each, records[each.query_key], rates, seen) for each in questions}
    return Forecast(hits, days, rates)


def hits_on(questions: Iterable[Anticipated], asked: Asked, day: date) -> dict[str, int]:
    """Return how often each question was asked on a day, in its own words or in others that are known."""
    return {each.query_key: sum(asked.get(key, {}).get(day, 0) for key in _keys(each)) for each in questions}


def _record(question: Anticipated, asked: Asked, on: date) -> _Record:
    days = [(day, count) for key in _keys(question) for day, count in asked.get(key, {}).items() if day < on]
    total = sum(count for _, count in days)
    recent = sum(count * _fading((on - day).days) for day, count in days)
    # visitors' phrasings that it stands for were asked as recently as its own
    others = max(1.0, question.times / total) if total else 1.0
    return _Record(recent * others, total)


def _keys(question: Anticipated) -> tuple[str, ...]:
    return (question.query_key, *question.wordings)


def _fading(age: int) -> float:
    return float(0.5 ** (age / _HALF_LIFE))


def _rates(questions: Sequence[Anticipated], records: Mapping[str, _Record], seen: float) -> dict[str, float]:
    """Return how often questions of each kind are asked a day, for a weight of 1."""
    kinds = {each.origin for each in questions}
    if not seen:
        return {kind: _unknown(kind, 1.0) for kind in kinds}
    own = [each for each in questions if each.origin not in ("corpus", "journal", "canary")]
    usual = _mean(own, records, seen) or 1.0 / seen
    rates = {}
    for kind in kinds:
        mine = [each for each in questions if each.origin == kind]
        rates[kind] = _mean(mine, records, seen) or _unknown(kind, usual)
    # a visitor's question is anticipated because it was asked, which says nothing about one that was not
    return rates | {"journal": 0.0}


def _unknown(kind: str, usual: float) -> float:
    return usual * _PROPOSED if kind == "corpus" else usual


def _mean(questions: Sequence[Anticipated], records: Mapping[str, _Record], seen: float) -> float:
    weight = sum(each.weight for each in questions)
    return sum(records[each.query_key].recent for each in questions) / weight / seen if weight else 0.0


def _expected(question: Anticipated, record: _Record, rates: Mapping[str, float], seen: float) -> float:
    usual = rates[question.origin] * question.weight
    if not seen:
        return usual
    return (_PRIOR_DAYS * usual + record.recent) / (_PRIOR_DAYS + seen)


def days_before(on: date, count: int) -> list[date]:
    """Return so many days before one, the earliest first."""
    return [on - timedelta(days=number) for number in range(count, 0, -1)]
