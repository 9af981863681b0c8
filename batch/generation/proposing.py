"""Proposed questions: the language model reads a chunk and writes what people will ask about it.

The idea is that of docTTTTTquery (Nogueira and Lin 2019). Models also propose what the text does not answer; as in
Doc2Query-- (arXiv 2301.03266), retrieval filters that out: `batch/stages/propose.py` keeps a question only if it
leads back to its chunk.
"""

from __future__ import annotations

import re

from batch.generation.wording import filled
from rag.identity import normalise, template_id
from rag.llm.protocol import Message, Sampling
from rag.prompting.template import own_messages, own_template, quoted
from rag.retrieval.passages import StoredChunk

SAMPLING = Sampling(max_tokens=96)
_MOST = 3  # questions of one chunk

_FEWEST_WORDS, _LONGEST = 3, 200
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d{1,2}[.):]|Q\d*[.:])\s*", re.IGNORECASE)
# A question about the text itself, which visitors don't see.
_OF_THE_TEXT = re.compile(
    r"\b(?:the|this) (?:above )?(?:passage|text|paragraph|excerpt|section|snippet|author)\b", re.IGNORECASE
)


def proposing_messages(chunk: StoredChunk) -> list[Message]:
    """Return the chat that asks the model for questions about a chunk."""
    return own_messages(_template(), "{passage}", quoted(chunk))


def key_messages(chunk: StoredChunk, count: int) -> list[Message]:
    """Return the chat that asks the model for questions that are to lead to a chunk."""
    return filled("ask_chunk", passage=quoted(chunk), count=str(count))


def proposed(said: str, most: int = _MOST) -> list[str]:
    """Return up to three questions, or `most`, from the model's text: the lines that end with a question mark."""
    lines = (_BULLET.sub("", line).strip(" \t\"'*_") for line in said.splitlines())
    questions: dict[str, str] = {}
    for line in lines:
        if _usable(line):
            questions.setdefault(normalise(line), line)
    return list(questions.values())[:most]


def _usable(line: str) -> bool:
    long_enough = len(line) <= _LONGEST and len(line.split()) >= _FEWEST_WORDS
    return long_enough and line.endswith("?") and not _OF_THE_TEXT.search(line)


def proposing_template() -> str:
    """Return the template's id, for fingerprints."""
    return template_id(_template())


def _template() -> str:
    return own_template("propose", "batch.generation")
