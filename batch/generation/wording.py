"""Other wordings of a question, to search for: rewordings, and a sketched answer.

Visitors write "it keeps kicking me out", manuals "session expires". A rewording says the same in the manual's words
(as `rag.prompting.rewriting` does for a live question, in one line); a sketch is the answer as a manual might give it,
whose words are nearer to the passage than the question's are (HyDE, arXiv 2212.10496). Both may be wrong: they decide
what is found, never what is said.
"""

from __future__ import annotations

import re

from rag.identity import normalise, template_id
from rag.llm.protocol import Message, Sampling
from rag.prompting.answer_rules import without_reasoning
from rag.prompting.template import fenced, own_template, split_parts

SKETCHING = Sampling(max_tokens=160)

_LONGEST = 300  # characters of a wording; anything longer is an answer
_LONGEST_SKETCH = 2000
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d{1,2}[.):]|Q\d*[.:])\s*", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]{2,}")


def rewording(count: int) -> Sampling:
    """Return how that many wordings are sampled."""
    return Sampling(max_tokens=32 * count + 32)


def rewording_messages(question: str, count: int) -> list[Message]:
    """Return the chat that asks the model for other wordings of a question."""
    return filled("reword", question=fenced(question), count=str(count))


def sketching_messages(question: str) -> list[Message]:
    """Return the chat that asks the model to sketch an answer."""
    return filled("sketch", question=fenced(question))


def wordings(said: str, question: str, count: int) -> list[str]:
    """Return the wordings that the model wrote, at most `count`: short lines with words in them, none twice."""
    found = {normalise(question): question}
    for line in without_reasoning(said)[0].splitlines():
        text = _BULLET.sub("", line).strip(" \t\"'*_")
        if len(text) <= _LONGEST and _WORD.search(text) and not text.endswith(":"):
            found.setdefault(normalise(text), text)
    return list(found.values())[1 : count + 1]


def sketch(said: str) -> str | None:
    """Return the sketched answer, or None if the model wrote nothing to search for."""
    text = " ".join(without_reasoning(said)[0].split())[:_LONGEST_SKETCH]
    return text if _WORD.search(text) else None


def filled(name: str, **values: str) -> list[Message]:
    """Fill a template of this package; what is filled in is not searched for placeholders."""
    return filled_from(template(name), f"the template {name}", **values)


def filled_from(text: str, source: str, **values: str) -> list[Message]:
    """Fill the text of a template that `source` names."""
    parts = split_parts(text, source)
    return [
        Message(role, re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), part))
        for role, part in parts.items()
    ]


def template(name: str) -> str:
    """Return a template of this package."""
    return own_template(name, "batch.generation")


def prompt_id(name: str) -> str:
    """Return a template's id, for fingerprints."""
    return template_id(template(name))
