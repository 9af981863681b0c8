"""Contradicting answers are distinguished from rephrased ones; the cases are data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.paraphrase.answer_contradiction import contradict

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases/answers.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["live"][:40])
def test_the_reason_is_named_whichever_answer_comes_first(case: dict[str, str]) -> None:
    assert contradict(case["served"], case["live"]) == case["says"]
    assert contradict(case["live"], case["served"]) == case["says"]


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("Yes, you can.", "No, you can't.", "negation_differs"),
        ("No. Ask your manager first.", "No, ask your manager before.", None),
        ("No visa is needed for stays of up to 90 days.", "For stays of up to 90 days no visa is needed.", None),
        ("The fee is 10 euros [1].", "The fee is 10 euros [2, 3].", None),
        ("The fee is 10 euros.", "The fee is 10 euros. Guests pay a fee of 12.", None),
        ("The main office is open. Bring a towel.", "Bring a towel. The main office is closed.", "antonyms"),
        ("", "The fee is 10 euros.", None),
    ],
)
def test_an_omission_is_no_contradiction(one: str, other: str, reason: str | None) -> None:
    assert contradict(one, other) == reason


@given(st.sampled_from(CASES))
def test_no_answer_contradicts_itself(case: dict[str, str]) -> None:
    assert contradict(case["served"], case["served"]) is None
