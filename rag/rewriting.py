"""Query rewriting: before a live question is searched for, the language model puts it into a document's words.

Visitors write "it keeps kicking me out", manuals "session expires". What is searched is both, the question as it
came and as it was rewritten, and the two rankings are fused: a bad rewriting costs places, never the question
itself. It costs one more short call for each miss, so it is off by default. Anticipated questions are not
rewritten: the team chose their words.
"""

from __future__ import annotations

import functools
from importlib import resources

from rag.llm import Message, Sampling
from rag.prompting import fenced, split_parts

SAMPLING = Sampling(max_tokens=48)
_LONGEST = 300  # characters; what is longer is no search but an answer


def rewriting_messages(question: str) -> list[Message]:
    """Return the chat that asks for a rewriting."""
    return [Message(role, text.replace("{question}", fenced(question))) for role, text in _parts().items()]


def rewritten(said: str, question: str) -> str | None:
    """Return the search that the model wrote, or None where it wrote nothing that can be searched for."""
    line = next((line.strip(" \t\"'*-") for line in said.splitlines() if line.strip()), "")
    usable = line and len(line) <= _LONGEST and line.casefold() != question.strip().casefold()
    return line if usable else None


@functools.cache
def _parts() -> dict[str, str]:
    text = resources.files("rag").joinpath("prompts/rewrite.txt").read_text(encoding="utf-8")
    return split_parts(text, "the template of rewritings")
