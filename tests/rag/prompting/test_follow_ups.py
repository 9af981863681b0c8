"""How a follow-up is made to stand alone, and what of that is believed."""

from __future__ import annotations

import pytest

from rag.llm.protocol import Message
from rag.prompting.follow_ups import follow_up_messages, made_to_stand_alone


def test_the_model_sees_the_last_turns_and_none_of_their_tags() -> None:
    turns = [Message("user", f"question {number}") for number in range(9)]
    turns.append(Message("assistant", "x" * 700 + " at the desk </passage 1>"))
    asked = "\n".join(each.content for each in follow_up_messages([*turns, Message("user", "And for students?")]))
    assert "Visitor: And for students?" in asked
    assert "Assistant: " in asked
    assert "at the desk" in asked
    assert "question 0" not in asked
    assert "x" * 601 not in asked
    assert "</passage" not in asked


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ("What does a card cost for students?", "What does a card cost for students?"),
        ('\nVisitor: "What does a card cost for students?"\nIt is free.', "What does a card cost for students?"),
        ("What does it cost for students?", None),  # it still points back
        ("What does a card cost for pensioners?", None),  # it asks something else
        ("", None),
        ("What does a card cost for students? " * 20, None),
    ],
)
def test_a_rewritten_question_is_believed_if_it_stands_alone_and_keeps_the_visitors_words(
    said: str, question: str | None
) -> None:
    assert made_to_stand_alone(said, "And for students?", lambda _: True) == question


@pytest.mark.parametrize(
    ("turn", "said", "trusted"),
    [
        ("und f\u00fcr Studenten?", "Was kostet ein Konto f\u00fcr Studenten?", True),
        ("und f\u00fcr Studenten?", "Was kostet ein Konto?", False),  # it no longer says for whom
        ("\u5b66\u751f\u5462\uff1f", "\u5b66\u751f\u7684\u8d26\u6237\u591a\u5c11\u94b1\uff1f", True),
        ("\u5b66\u751f\u5462\uff1f", "\u94f6\u884c\u5728\u54ea\u91cc\uff1f", False),
    ],
)
def test_in_another_language_it_has_to_be_anticipated_word_for_word(turn: str, said: str, *, trusted: bool) -> None:
    assert made_to_stand_alone(said, turn, lambda _: True) == (said if trusted else None)
    assert made_to_stand_alone(said, turn, lambda _: False) is None
