"""Tense and mood: do two questions ask about the past, the present, the future, or what should or could be?

"Did they move", "will they move" and "should they move" share every content word. The first auxiliary gives a
question's tense, well enough for questions. Most changes of tense mean nothing ("what was", "what is"), so only those
that nearly always matter count, and past against present only beside a word that makes time the point ("now", "used
to", "before"). Figures are in docs/semantic-hits.md.
"""

from __future__ import annotations

import itertools

from rag.paraphrase.lexicon import FORMS_OF_BE
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion

_AUXILIARIES = {
    "do": "present", "does": "present", "is": "present", "are": "present", "am": "present",
    "did": "past", "was": "past", "were": "past", "had": "past", "has": "perfect", "have": "perfect",
    "will": "future", "shall": "future", "won": "future", "gonna": "future",
    "would": "would", "could": "could", "should": "should", "ought": "should",
    "can": "can", "may": "may", "might": "may", "must": "must",
}  # fmt: skip
_APART = tuple(
    frozenset(pair.split("/"))
    for pair in (
        "past/future perfect/future past/should perfect/should past/could_have perfect/could_have "
        "perfect/may perfect/must formerly/present formerly/future formerly/perfect"
    ).split()
)
_APART_IN_TIME = tuple(frozenset(pair.split("/")) for pair in "past/present past/perfect future/present".split())
_TIMES = frozenset("still now nowadays today currently anymore originally formerly previously before ago yet".split())
_INDIRECT = frozenset("wonder wondering know ask asking tell me sure".split())
_NOT_BEFORE_USED_TO = FORMS_OF_BE | {"am", "get", "gets", "getting"}


def tense_differs(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether two questions ask about different times, or one about facts and the other about what should be."""
    tenses = {tense(first), tense(second)}
    if tenses in _APART:
        return True
    return tenses in _APART_IN_TIME and bool((alignment.left_words | alignment.right_words) & _TIMES)


def tense(question: ParsedQuestion) -> str:
    """Return a question's tense or mood, from its first auxiliary; "formerly" is "used to", "" is unknown."""
    words = _direct(question.words)
    if _used_to(words):
        return "formerly"
    at = next((n for n, word in enumerate(words) if word in _AUXILIARIES), None)
    if at is None:
        return ""
    found = _AUXILIARIES[words[at]]
    if found == "present" and _followed(words[at + 1 :], "going", "to"):
        return "future"
    return "could_have" if found == "could" and "have" in words else found


def _direct(words: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the introduction of an indirect question: "I was wondering if"."""
    for n, (word, after) in enumerate(itertools.pairwise(words)):
        if word in _INDIRECT and after in ("if", "whether"):
            return words[n + 2 :]
    return words


def _used_to(words: tuple[str, ...]) -> bool:
    for n, word in enumerate(words[:-1]):
        if words[n + 1] == "to" and (word == "used" or (word == "use" and "did" in words[:n])):
            return not _NOT_BEFORE_USED_TO & set(words[:n])  # "is used to treat", "get used to"
    return False


def _followed(words: tuple[str, ...], one: str, other: str) -> bool:
    return (one, other) in itertools.pairwise(words)
