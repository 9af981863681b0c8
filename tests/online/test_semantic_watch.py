"""The watch over semantic hits: exact bounds, and an end to hits that are not what was promised."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.comparison import agree
from online.metrics import Metrics
from online.semantic_watch import SemanticWatch, lower_bound
from rag.calibration import upper_bound


def watch(tolerated: float = 0.05, *, enabled: bool = True) -> SemanticWatch:
    return SemanticWatch({"library": tolerated, "museum": tolerated}, Metrics(), enabled=enabled)


@given(st.integers(1, 300), st.data())
def test_the_bounds_enclose_the_observed_rate_and_mirror_each_other(trials: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, trials))
    low, high = lower_bound(errors, trials, 0.99), upper_bound(errors, trials, 0.99)
    assert 0 <= low <= errors / trials <= high <= 1
    assert low == pytest.approx(1 - upper_bound(trials - errors, trials, 0.99))


def test_the_lower_bound_is_that_of_clopper_and_pearson() -> None:
    rate = lower_bound(3, 20, 0.95)
    at_least_three = 1 - sum(math.comb(20, k) * rate**k * (1 - rate) ** (20 - k) for k in range(3))
    assert at_least_three == pytest.approx(0.05, abs=1e-6)


def test_hits_go_on_while_the_promise_may_be_kept() -> None:
    watched = watch(0.05)
    for number in range(400):
        assert watched.record("library", agrees=number % 25 != 0)  # 4 % differ


def test_hits_stop_when_the_promise_is_broken_beyond_doubt_and_only_there() -> None:
    watched = watch(0.05)
    outcomes = [watched.record("library", agrees=number % 3 != 0) for number in range(60)]  # a third differ
    assert not outcomes[-1]
    assert not watched.serving("library")
    assert watched.serving("museum")


def test_a_few_comparisons_prove_nothing() -> None:
    watched = watch(0.0)
    for _ in range(9):
        assert watched.record("library", agrees=False)
    assert not watched.record("library", agrees=False)


def test_a_new_release_begins_anew() -> None:
    watched = watch()
    for _ in range(20):
        watched.record("library", agrees=False)
    watched.reset()
    assert watched.serving("library")


def test_what_is_switched_off_stays_off() -> None:
    watched = watch(enabled=False)
    watched.reset()
    assert not watched.serving("library")


class Words:
    """An encoder whose vector is the set of words."""

    def embed(self, texts: list[str]) -> object:
        import numpy as np

        known = sorted({word for text in texts for word in text.lower().split()})
        rows = np.array([[word in text.lower().split() for word in known] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("served", "live", "expected"),
    [
        ("It opens at 9 [1]", "It opens at 9 [2]", True),
        ("It opens at 9 [1]", "It opens at 10 [1]", False),
        ("It opens in the morning", "It opens in the early morning", True),
        ("It opens at 9 every day", "It opens at nine every day", True),
        ("A loan is renewed at the desk", "Bicycles stand behind the house", False),
    ],
)
def test_two_answers_agree_by_their_words_and_numbers_but_not_their_references(
    served: str, live: str, expected: bool
) -> None:
    assert agree(Words(), served, live) is expected  # type: ignore[arg-type]
