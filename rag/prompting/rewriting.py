"""Query rewriting: before a live question is searched for, the language model puts it into a document's words.

Visitors write "it keeps kicking me out", manuals "session expires". What is searched is both, the question as it
came and as it was rewritten, and the two rankings are fused: a bad rewriting costs places, never the question
itself. It costs one more short call for each miss, so it is off by default. Anticipated questions are not
rewritten: the team chose their words.
"""

from __future__ import annotations

from rag.llm.protocol import Message, Sampling
from rag.prompting.template import fenced, own_messages, own_template

SAMPLING = Sampling(max_tokens=48)
_LONGEST = 300  # characters; what is longer is no search but an answer


def rewriting_messages(question: str) -> list[Message]:
    """Return the chat that asks for a rewriting."""
    return own_messages(own_template("rewrite"), "{question}", fenced(question))


def rewritten(said: str, question: str) -> str | None:
    """Return the search that the model wrote, or None where it wrote nothing that can be searched for."""
    line = next((line.strip(" \t\"'*-") for line in said.splitlines() if line.strip()), "")
    usable = line and len(line) <= _LONGEST and line.casefold() != question.strip().casefold()
    return line if usable else None
