"""Look-alikes: questions that differ from a given one by a minimal edit and ask something else.

Labelled pairs of real questions do not teach polarity: "enable" and "disable", or "from A to B" and "from B to A",
hardly occur in them, and a model trained on them alone ranks such pairs above true paraphrases. So small edits turn
each question into others that are different by construction: an antonym, a negation, another number, another name of
the same kind, swapped roles. They train the verifier (`batch/verifier/training.py`) and test it: a guard that lets
one pass is a bug with an example.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rag.paraphrase.lexicon import lexicon, word_class

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|could|should|would|will|does|do|did|has|have|must|may)\b(?! not\b)", re.IGNORECASE
)
_WITH = re.compile(r"\bwith\b", re.IGNORECASE)
_FROM_TO = re.compile(r"\bfrom ((?:\w+ ){0,1}\w+) (to|into) ((?:\w+ ){0,1}\w+)\b", re.IGNORECASE)
_THAN = re.compile(r"^(is|are|was|were) (\w+) (.+ than) (\w+)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Opposite:
    """A question and its look-alike; `kind` is antonym, negation, number, name or roles."""

    question: str
    opposite: str
    kind: str


def opposites(question: str, seed: int = 0) -> list[Opposite]:
    """Return a question's look-alikes, one for each edit that applies; the same seed gives the same ones."""
    chance = random.Random(f"{seed} {question}")
    found = []
    for kind, edit in _EDITS:
        turned = edit(question, chance)
        if turned is not None and turned != question:
            found.append(Opposite(question, turned, kind))
    return found


def _antonym(question: str, chance: random.Random) -> str | None:
    """Replace one word by an antonym; not function words ("do", "like")."""
    frame = word_class("function") - word_class("preposition")
    return _exchange(question, chance, lambda word: () if word in frame else lexicon().opposites.get(word, ()))


def _name(question: str, chance: random.Random) -> str | None:
    """Replace one word by another of its kind: another country, drug, unit, colour."""
    frame = word_class("function")
    return _exchange(question, chance, lambda word: () if word in frame else _same_kind(word))


def _same_kind(word: str) -> list[str]:
    by_kind = _members()
    return [
        other
        for kind, member in lexicon().kinds.get(word, ())
        for other, its_member in by_kind[kind]
        if its_member != member
    ]


@functools.cache
def _members() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for word, pairs in lexicon().kinds.items():
        for kind, member in pairs:
            if word in member.split("/"):  # not the stems that the lexicon adds
                found.setdefault(kind, []).append((word, member))
    return found


def _exchange(question: str, chance: random.Random, others: Callable[[str], Iterable[str]]) -> str | None:
    places = []
    for match in _WORD.finditer(question):
        choices = sorted(w for w in others(match.group().lower()) if "_" not in w and w.isalpha() and len(w) > 2)
        if choices:
            places.append((match, choices))
    if not places:
        return None
    match, choices = chance.choice(places)
    return question[: match.start()] + _cased(chance.choice(choices), match.group()) + question[match.end() :]


def _cased(word: str, like: str) -> str:
    return word.capitalize() if like[:1].isupper() else word


def _number(question: str, chance: random.Random) -> str | None:
    """Change one number; a year stays a year."""
    matches = list(_NUMBER.finditer(question))
    if not matches:
        return None
    match = chance.choice(matches)
    text = match.group()
    step = chance.choice((1, 2, 3, 5))
    other = str(int(text) + step) if text.isdigit() else f"{float(text) + step:g}"
    return question[: match.start()] + other + question[match.end() :]


def _negation(question: str, _: random.Random) -> str | None:
    """Put "not" after the first auxiliary, or replace "with" by "without"."""
    if " not " in question or "n't" in question:
        return None
    if _WITH.search(question):
        return _WITH.sub("without", question, count=1)
    match = _AUXILIARY.search(question)
    if match is None:
        return None
    return question[: match.end()] + " not" + question[match.end() :]


def _roles(question: str, _: random.Random) -> str | None:
    """Swap the two ends of "from A to B", or the two sides of "is A better than B"."""
    swapped = _FROM_TO.sub(r"from \3 \2 \1", question, count=1)
    if swapped == question:
        swapped = _THAN.sub(r"\1 \4 \3 \2", question, count=1)
    return None if swapped == question else swapped


_EDITS: tuple[tuple[str, Callable[[str, random.Random], str | None]], ...] = (
    ("antonym", _antonym),
    ("name", _name),
    ("number", _number),
    ("negation", _negation),
    ("roles", _roles),
)
