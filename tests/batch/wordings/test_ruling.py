"""What a guard's objection says about an answer that is asked for in many ways."""

from __future__ import annotations

import pytest

from batch.wordings.nearest_answers import Near
from batch.wordings.prepared_answers import PreparedAnswer
from batch.wordings.ruling import opposed

TEXT, NEAREST = "How do I activate my card?", "My card won't activate."
MORE = ("I want to activate my card", "card activation", "my card must be activated", "where do I activate my card")


@pytest.mark.parametrize(
    ("wordings", "others", "expected"),
    [
        ((NEAREST,), (), True),
        ((NEAREST, *MORE[:2]), MORE[:2], True),
        ((NEAREST, *MORE), MORE, False),
        ((NEAREST, *MORE), (), True),
    ],
    ids=["one wording", "few wordings", "many, of which the guard parts some", "many, of which it parts none nearby"],
)
def test_a_guard_that_parts_an_answers_own_wordings_has_no_say(
    wordings: tuple[str, ...], others: tuple[str, ...], expected: bool
) -> None:
    answer = PreparedAnswer("default", "k", NEAREST, "Open the page cards [1].", "f", (), (), wordings, "list")

    assert opposed(TEXT, Near(answer, NEAREST, 0.8, others)) is expected
