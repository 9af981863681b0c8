"""Look-alikes ask something else by construction, and the guards stop all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.verifier.lookalikes import opposites
from rag.identity import normalise
from rag.paraphrase.alignment import align
from rag.paraphrase.guards import objection
from rag.paraphrase.question_parser import parse

HERE = Path(__file__).parents[2] / "rag/paraphrase"


def anticipated() -> list[str]:
    lines = (HERE / "lookalikes.jsonl").read_text(encoding="utf-8").splitlines()
    return sorted({json.loads(line)[side] for line in lines for side in ("asked", "anticipated")})


@pytest.mark.parametrize(
    ("question", "kind", "expected"),
    [
        ("Is the fee due in 30 days?", "number", r"3[1235]"),
        ("How do I fly from Rome to Oslo?", "roles", "from Oslo to Rome"),
        ("Is tea better than coffee?", "roles", "Is coffee better than tea"),
        ("Can I travel with a visa?", "negation", "without a visa"),
        ("Does it rain?", "negation", "Does not it rain"),
        ("How do I unlock a phone?", "antonym", "lock"),
    ],
)
def test_each_edit_turns_its_kind_of_question(question: str, kind: str, expected: str) -> None:
    found = {each.kind: each.opposite for each in opposites(question)}
    assert kind in found
    assert re.search(expected, found[kind])


def test_a_name_is_exchanged_for_another_of_its_kind() -> None:
    found = {each.kind: each.opposite for each in opposites("Is it sunny in France?")}
    assert found["name"].startswith("Is it sunny in ")
    assert "France" not in found["name"]


def test_every_guard_stops_every_opposite_of_real_questions() -> None:
    passed = []
    for question in anticipated():
        for seed in range(3):
            for each in opposites(question, seed):
                first, second = parse(each.question), parse(each.opposite)
                if objection(first, second, align(first, second), 0.99) is None:
                    passed.append(each)
    assert passed == []


def test_the_same_seed_gives_the_same_opposites() -> None:
    assert opposites("How do I buy 5 apples in Spain?", 7) == opposites("How do I buy 5 apples in Spain?", 7)


@given(st.text(max_size=80), st.integers(0, 3))
def test_an_opposite_is_never_the_question_itself(question: str, seed: int) -> None:
    assert all(normalise(each.opposite) != normalise(question) for each in opposites(question, seed))


def test_a_question_that_no_edit_fits_has_no_opposite() -> None:
    assert opposites("Gravity?") == []
    assert opposites("") == []
