"""What a budget buys: the questions that bring most hits for their tokens, until the next one doesn't fit.

Where the next question doesn't fit the choice ends, even if a cheaper one behind it would: so a larger budget always
buys what a smaller one does and more, and what waits is what was worth least. A replay of days that the forecast has
not seen (`curve`) says how many hits that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import accumulate

from warehouse.planning.demand import Anticipated, Asked, days_before, forecast, hits_on

_POINTS = 10
_HELD_OUT = 14  # days at most
_FIRST_DAYS = 7  # of history, before a day is held out


@dataclass(frozen=True)
class Candidate:
    """A question that needs an answer, what it is expected to bring a day, and what it is expected to cost."""

    query_key: str
    hits: float
    tokens: int


@dataclass(frozen=True)
class Point:
    """What a budget brings: `answers` for `tokens`; hits a day as on the held-out days, and the fewest and most."""

    tokens: int
    answers: int
    expected: float
    hits: float | None
    fewest: int | None
    most: int | None


@dataclass(frozen=True)
class Curve:
    """Hits against tokens. `held_out` days were replayed; `asked` is what was asked a day on them on average.

    The next day is within the fewest and the most with the probability `level`, if it is like the held-out ones.
    """

    points: tuple[Point, ...]
    held_out: int
    asked: float | None
    level: float | None


def by_worth(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates by expected hits for their tokens, the most valuable first."""
    return sorted(candidates, key=lambda each: (-each.hits / max(1, each.tokens), each.query_key))


def affordable(ordered: Sequence[Candidate], tokens: float) -> int:
    """Return how many of the first candidates so many tokens suffice for."""
    for number, total in enumerate(accumulate(each.tokens for each in ordered)):
        if total > tokens:
            return number
    return len(ordered)


def paying(ordered: Sequence[Candidate], days: float, live_ratio: float) -> int:
    """Return how many of the first candidates pay: their hits in `days` spare more than the answer costs.

    A hit spares a live answer, whose tokens cost `live_ratio` times as much as the batch's.
    """
    for number, each in enumerate(ordered):
        if each.hits * days * live_ratio < 1:
            return number
    return len(ordered)


def curve(
    questions: Sequence[Anticipated], costs: Mapping[str, int], asked: Asked, on: date, budget: float | None = None
) -> Curve:
    """Return what budgets would bring `on` a day, by a replay of the days before it.

    `costs` are the tokens of the questions that need an answer; the others have one, which costs nothing. On each
    held-out day the questions are chosen by what was known before it, and what they were asked on it is counted. The
    day before `on` may be going on.
    """
    total = sum(costs.values())
    steps = {round(total * part / _POINTS) for part in range(_POINTS + 1)}
    tokens = sorted(steps | ({int(min(budget, total))} if budget is not None else set()))
    today = _chosen(costs, forecast(questions, asked, on, going_on=True).hits)
    days = _held_out(asked, on)
    replayed = [_replayed(questions, costs, asked, day, tokens) for day in days]
    points = [
        _point(each, today, questions, costs, [day[number] for day in replayed]) for number, each in enumerate(tokens)
    ]
    asked_on = [sum(by_day.get(day, 0) for by_day in asked.values()) for day in days]
    return Curve(
        tuple(points),
        len(days),
        sum(asked_on) / len(days) if days else None,
        (len(days) - 1) / (len(days) + 1) if len(days) > 1 else None,
    )


def _held_out(asked: Asked, on: date) -> list[date]:
    """Return the days to replay: before the last one, which may be going on, and with enough history before each."""
    first = min((day for by_day in asked.values() for day in by_day), default=on)
    return [day for day in days_before(on, _HELD_OUT + 1)[:-1] if (day - first).days >= _FIRST_DAYS]


@dataclass(frozen=True)
class _Chosen:
    """The candidates in order, and what each question is expected to bring."""

    ordered: list[Candidate]
    hits: Mapping[str, float]


def _chosen(costs: Mapping[str, int], hits: Mapping[str, float]) -> _Chosen:
    return _Chosen(by_worth(Candidate(key, hits[key], tokens) for key, tokens in costs.items()), hits)


def _replayed(
    questions: Sequence[Anticipated], costs: Mapping[str, int], asked: Asked, day: date, tokens: Sequence[int]
) -> list[int]:
    """Return the hits of a day for each budget."""
    then = [replace(each, times=0) for each in questions]  # phrasings were joined later
    ordered = _chosen(costs, forecast(then, asked, day).hits).ordered
    hits = hits_on(questions, asked, day)
    free = sum(count for key, count in hits.items() if key not in costs)
    gained = [0, *accumulate(hits[each.query_key] for each in ordered)]
    return [free + gained[affordable(ordered, each)] for each in tokens]


def _point(
    tokens: int, chosen: _Chosen, questions: Sequence[Anticipated], costs: Mapping[str, int], replayed: Sequence[int]
) -> Point:
    answers = affordable(chosen.ordered, tokens)
    free = sum(chosen.hits[each.query_key] for each in questions if each.query_key not in costs)
    expected = free + sum(each.hits for each in chosen.ordered[:answers])
    mean = sum(replayed) / len(replayed) if replayed else None
    return Point(tokens, answers, expected, mean, min(replayed, default=None), max(replayed, default=None))
