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
    assert made_to_stand_alone(said, "And for students?") == question
