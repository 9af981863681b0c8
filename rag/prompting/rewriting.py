"""Query rewriting: the language model rephrases a live question in the documents' words before the search.

Visitors write "it keeps kicking me out", manuals "session expires". Both the original and the rewritten question are
searched for and the rankings fused, so a bad rewrite costs ranks, never the question itself. It costs one more short
call per miss, so it is off by default. Anticipated questions are not rewritten: the team chose their words.
"""

from __future__ import annotations

from rag.llm.protocol import Message, Sampling
from rag.prompting.template import fenced, own_messages, own_template

SAMPLING = Sampling(max_tokens=48)
_LONGEST = 300  # characters; anything longer is an answer, not a query


def rewriting_messages(question: str) -> list[Message]:
    """Return the chat that asks the model to rewrite a question."""
    return own_messages(own_template("rewrite"), "{question}", fenced(question))


def rewritten(said: str, question: str) -> str | None:
    """Return the query that the model wrote, or None if it wrote nothing new or usable."""
    line = next((line.strip(" \t\"'*-") for line in said.splitlines() if line.strip()), "")
    usable = line and len(line) <= _LONGEST and line.casefold() != question.strip().casefold()
    return line if usable else None
