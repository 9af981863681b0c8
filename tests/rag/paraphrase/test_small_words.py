"""Which small words tell questions with the same content words apart."""

from __future__ import annotations

import pytest

from rag.paraphrase.alignment import align
from rag.paraphrase.everyday import everyday_form
from rag.paraphrase.question_parser import parse
from rag.paraphrase.small_words import small_words_differ


def differ(first: str, second: str) -> str | None:
    one, other = parse(everyday_form(first)), parse(everyday_form(second))
    return small_words_differ(one, other, align(one, other))


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        ("Is red wine healthy?", "Which red wine is healthy?", "asks_differ"),
        ("What is melanin?", "What does melanin do?", "asks_differ"),
        ("When can I pay?", "When must I pay?", "modality_differs"),
        ("How much can I withdraw?", "How much do I have to withdraw?", "modality_differs"),
        ("Where did I sign?", "Where do I sign?", "tense_differs"),
        ("Was the shop open?", "Is the shop open?", "tense_differs"),
        ("Can I bring a dog and a cat?", "Can I bring a dog or a cat?", "quantifiers_differ"),
        ("Who called me?", "Who did I call?", "directions_differ"),
        ("Can they see my posts?", "Can I see my posts?", "directions_differ"),
        ("Do I pay on arrival?", "Do I pay before arrival?", "directions_differ"),
        ("Can I stay for 3 days?", "Can I stay in 3 days?", "directions_differ"),
        ("Do I pay first and sign later?", "Do I sign first and pay later?", "roles_swapped"),
        ("How do I use a template?", "How do I get a template?", "content_differs"),
        ("How do I rent a flat?", "How do I rent out a flat?", "content_differs"),
        ("What is ::after?", "What is #after?", "code_differs"),
    ],
)
def test_small_words_that_matter(first: str, second: str, label: str) -> None:
    assert (differ(first, second), differ(second, first)) == (label, label)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What browsers do you support?", "Which of the browsers do you support?"),
        ("What should I do if my card is stolen?", "What can I do if my card is stolen?"),
        ("How should I pay?", "How do I pay?"),
        ("What was yellow journalism?", "What is yellow journalism?"),
        ("How does someone start their own business?", "How do I start my own business?"),
        ("Do I need to pay in the shop?", "Must I pay at the shop?"),
        ("Is parking free?", "parking free"),
    ],
)
def test_small_words_that_say_nothing(first: str, second: str) -> None:
    assert differ(first, second) is None
