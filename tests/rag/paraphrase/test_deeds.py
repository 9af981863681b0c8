"""A question that is a wording of an answer but for its verb wants another thing done."""

from __future__ import annotations

import pytest

from rag.paraphrase.deeds import does_another_thing
from rag.paraphrase.question_parser import parse

CANCEL = ("How do I cancel my subscription?", "please end my membership", "I want to stop it")


@pytest.mark.parametrize("asked", ["How do I pause my subscription?", "please renew my membership"])
def test_a_verb_that_no_wording_has_is_another_thing(asked: str) -> None:
    assert does_another_thing(parse(asked), CANCEL)


@pytest.mark.parametrize(
    "asked",
    [
        "How do I stop my subscription?",  # another wording has the verb
        "How do I terminate my subscription?",  # a synonym
        "How do I cancel my contract?",  # no verb
        "Is there a way to pause my subscription?",  # more differs: the evidence decides
    ],
)
def test_other_differences_are_left_to_the_evidence(asked: str) -> None:
    assert not does_another_thing(parse(asked), CANCEL)
