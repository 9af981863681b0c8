"""What a budget buys, and what its curve says."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from warehouse.planning.budget import Candidate, affordable, by_worth, curve, paying
from warehouse.planning.demand import Anticipated

TODAY = date(2026, 11, 26)
CANDIDATES = st.lists(
    st.builds(Candidate, st.text("abcdef", min_size=6, max_size=6), st.floats(0, 100), st.integers(1, 1000)),
    unique_by=lambda each: each.query_key,
    max_size=30,
)


@given(CANDIDATES, st.integers(0, 20_000), st.integers(0, 20_000))
def test_more_budget_buys_what_less_does_and_never_fewer_hits(
    candidates: list[Candidate], budget: int, more: int
) -> None:
    ordered = by_worth(candidates)

    less, larger = (ordered[: affordable(ordered, each)] for each in (budget, budget + more))

    assert sum(each.tokens for each in less) <= budget
    assert larger[: len(less)] == less
    assert sum(each.hits for each in larger) >= sum(each.hits for each in less)


def test_the_most_hits_for_their_tokens_come_first_and_the_rest_waits() -> None:
    dear, cheap, rare = Candidate("dear", 9, 900), Candidate("cheap", 5, 100), Candidate("rare", 1, 100)

    ordered = by_worth([dear, cheap, rare])

    assert [each.query_key for each in ordered] == ["cheap", "dear", "rare"]
    assert affordable(ordered, 300) == 1  # the next one doesn't fit, so what is worth less waits too


def test_a_question_pays_while_its_hits_spare_more_than_its_answer_costs() -> None:
    ordered = by_worth(
        [Candidate("often", 1, 100), Candidate("monthly", 1 / 30, 100), Candidate("yearly", 1 / 365, 100)]
    )

    assert paying(ordered, days=30, live_ratio=1) == 2
    assert paying(ordered, days=30, live_ratio=0.5) == 1  # where the batch costs twice as much as a live answer
    assert paying(ordered, days=400, live_ratio=1) == 3


def history(days: int) -> dict[str, dict[date, int]]:
    """Ask "daily" five times a day, "weekly" once a week, "never" not at all."""
    past = [TODAY - timedelta(days=age) for age in range(1, days + 1)]
    return {"daily": dict.fromkeys(past, 5), "weekly": dict.fromkeys(past[::7], 1)}


QUESTIONS = [Anticipated(name, "list") for name in ("daily", "weekly", "never", "answered")]


def test_the_curve_is_what_held_out_days_would_have_had() -> None:
    costs = {"daily": 100, "weekly": 100, "never": 100}

    found = curve(QUESTIONS, costs, history(30) | {"answered": {TODAY - timedelta(days=3): 2}}, TODAY, budget=150)

    nothing, *_, everything = found.points
    assert found.held_out == 14
    assert (nothing.tokens, nothing.answers, nothing.most) == (0, 0, 2)  # what is answered already costs nothing
    assert (everything.tokens, everything.answers) == (300, 3)
    (budgeted,) = [each for each in found.points if each.tokens == 150]
    assert (budgeted.answers, budgeted.fewest, budgeted.most) == (1, 5, 7)


def test_without_enough_history_nothing_is_held_out_and_the_expectation_is_left() -> None:
    found = curve(QUESTIONS, {"daily": 100}, history(5), TODAY)

    assert (found.held_out, found.level, found.points[-1].hits) == (0, None, None)
    assert found.points[-1].expected > found.points[0].expected > 0


@given(
    st.dictionaries(st.sampled_from("abcd"), st.dictionaries(st.integers(1, 30), st.integers(1, 9), min_size=1)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 500)),
)
def test_no_point_of_the_curve_is_below_the_one_before(asked: dict[str, dict[int, int]], costs: dict[str, int]) -> None:
    by_day = {key: {TODAY - timedelta(days=age): count for age, count in days.items()} for key, days in asked.items()}

    points = curve([Anticipated(name, "list") for name in "abcd"], costs, by_day, TODAY).points

    for before, after in itertools.pairwise(points):
        assert (before.tokens, before.answers, before.expected) <= (after.tokens, after.answers, after.expected)
        assert (before.hits or 0) <= (after.hits or 0)
        assert (before.fewest or 0) <= (after.fewest or 0)
