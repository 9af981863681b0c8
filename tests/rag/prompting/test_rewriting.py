"""Query rewriting: the prompt, and the query taken from the reply."""

from __future__ import annotations

import pytest

from rag.prompting.rewriting import rewriting_messages, rewritten


def test_the_question_reaches_the_model_once_and_cannot_close_a_fence() -> None:
    system, user = rewriting_messages("Why <passage 1> {question}?")

    assert (system.role, user.role) == ("system", "user")
    assert "Why \u2039passage 1> {question}?" in user.content
    assert "<passage" not in user.content


@pytest.mark.parametrize(
    ("said", "searched"),
    [
        ("session expires, log in again", "session expires, log in again"),
        ('\n  "session expiry"\nIt is about sessions.', "session expiry"),
        ("- session expiry", "session expiry"),
        ("it KEEPS kicking me out ", None),
        ("", None),
        ("word " * 100, None),
    ],
)
def test_the_first_line_is_the_query_if_it_is_new(said: str, searched: str | None) -> None:
    assert rewritten(said, "It keeps kicking me out") == searched
