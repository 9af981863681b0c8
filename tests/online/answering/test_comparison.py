"""Do the prepared answer and the live one say the same?"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from online.answering.comparison import agree

CASES = Path(__file__).parents[2] / "rag/paraphrase/cases/answers.jsonl"


class Words:
    """An encoder whose vector is the set of words."""

    def embed(self, texts: list[str]) -> object:
        known = sorted({word for text in texts for word in text.lower().split()})
        rows = np.array([[word in text.lower().split() for word in known] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Known:
    """An encoder by which any two texts have this cosine."""

    def __init__(self, cosine: float) -> None:
        self.cosine = cosine

    def embed(self, _: list[str]) -> object:
        return np.array([[1.0, 0.0], [self.cosine, math.sqrt(1 - self.cosine**2)]])


@pytest.mark.parametrize(
    ("served", "live", "expected"),
    [
        ("It opens at 9 [1]", "It opens at 9 [2]", True),
        ("It opens at 9 [1]", "It opens at 10 [1]", False),
        ("It opens in the morning", "It opens in the early morning", True),
        ("It opens at 9 every day", "It opens at nine every day", True),
        ("A loan is renewed at the desk", "Bicycles stand behind the house", False),
        ("A loan is renewed at the desk", "A loan is not renewed at the desk", False),
        ("Late books are accepted at the desk", "Late books are refused at the desk", False),
    ],
)
def test_two_answers_agree_by_their_words_numbers_and_clauses_but_not_their_references(
    served: str, live: str, expected: bool
) -> None:
    assert agree(Words(), served, live) is expected  # type: ignore[arg-type]


def test_most_opposites_are_seen_and_most_answers_in_other_words_agree() -> None:
    """The cosines in the file are those of all-MiniLM-L6-v2."""
    cases = [json.loads(line) for line in CASES.read_text().splitlines()]
    judged = [
        (case["same"], agree(Known(case["similarity"]), case["served"], case["live"]))  # type: ignore[arg-type]
        for case in cases
    ]
    assert judged.count((False, False)) == 39
    assert judged.count((False, True)) == 3
    assert judged.count((True, True)) == 39
    assert judged.count((True, False)) == 6
