"""What questions are expected to be asked tomorrow."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from warehouse.planning.demand import Anticipated, forecast, hits_on

TODAY = date(2026, 11, 26)


def days_ago(*ages: int, asked: int = 1) -> dict[date, int]:
    return {TODAY - timedelta(days=age): asked for age in ages}


def test_what_was_asked_lately_is_worth_more_than_what_was_asked_long_ago() -> None:
    questions = [Anticipated("old", "list"), Anticipated("new", "list"), Anticipated("never", "list")]

    hits = forecast(questions, {"old": days_ago(40, 41, 42), "new": days_ago(1, 2, 3)}, TODAY).hits

    assert hits["new"] > hits["old"] > hits["never"] > 0


def test_a_question_asked_every_day_alike_is_expected_as_often() -> None:
    usual = [Anticipated(str(number), "list") for number in range(5)]
    asked = {each.query_key: days_ago(*range(1, 61), asked=4) for each in usual}

    assert abs(forecast(usual, asked, TODAY).hits["0"] - 4) < 0.01


def test_without_a_history_the_weight_counts_and_a_proposal_is_worth_a_tenth() -> None:
    questions = [Anticipated("a", "list", 3.0), Anticipated("b", "list"), Anticipated("c", "corpus")]

    assert forecast(questions, {}, TODAY).hits == {"a": 3.0, "b": 1.0, "c": 0.1}


def test_a_visitors_question_stands_for_all_phrasings_and_counts_its_wordings() -> None:
    asked = {"mine": days_ago(1, 2), "wording": days_ago(1, 2), "other": days_ago(1, 2)}
    alone = Anticipated("mine", "journal")
    cluster = Anticipated("other", "journal", times=6)
    worded = Anticipated("mine", "journal", wordings=("wording",))

    hits = forecast([alone, cluster], asked, TODAY).hits

    assert round(hits["other"] / hits["mine"], 6) == 3.0  # six times asked, two of them in its own words
    assert forecast([worded], asked, TODAY).hits["mine"] == 2 * hits["mine"]
    assert hits_on([worded], asked, TODAY - timedelta(days=1)) == {"mine": 2}


@given(st.dictionaries(st.integers(1, 90), st.integers(1, 50), max_size=20), st.integers(1, 90), st.floats(0, 10))
def test_one_more_request_never_lowers_what_is_expected(past: dict[int, int], age: int, weight: float) -> None:
    questions = [Anticipated("q", "list", weight), Anticipated("other", "list")]
    asked = {TODAY - timedelta(days=each): count for each, count in past.items()} | days_ago(90)
    more = asked | {TODAY - timedelta(days=age): asked.get(TODAY - timedelta(days=age), 0) + 1}

    before, after = (forecast(questions, {"q": each}, TODAY).hits["q"] for each in (asked, more))

    assert after >= before >= 0
