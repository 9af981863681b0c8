"""Does a question ask to do another thing than any wording of an answer: "pause" where the answer is how to cancel?

Two wordings that differ in one word mostly fill a gap differently, and want one answer ("what time is it in Oslo", "in
Rome"). Only where the word is the verb, and no wording of the answer has it, something else is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag.paraphrase.alignment import align, same_word
from rag.paraphrase.lexicon import meanings
from rag.paraphrase.parsed_question import ParsedQuestion, Token
from rag.paraphrase.question_parser import parse

_BEFORE_VERBS = frozenset("i we you please".split())
_BEFORE_TO = frozenset("how want need like have has able going wish try love used".split())  # "want to", not "way to"
_CLOSEST = 5  # wordings that are compared; all of them are searched for the verb


def does_another_thing(asked: ParsedQuestion, wordings: Sequence[str]) -> bool:
    """Whether a question is one of the closest wordings (nearest first) but for its verb, which none of them has."""
    verbs = [verb for each in wordings[:_CLOSEST] if (verb := _other_verb(asked, parse(each))) is not None]
    return bool(verbs) and not any(_alike(verbs[0], token) for each in wordings for token in parse(each).content)


def _other_verb(asked: ParsedQuestion, wording: ParsedQuestion) -> Token | None:
    """Return the verb of a question where it is all that differs from a wording, or None."""
    if len({*asked.words} ^ {*wording.words}) > 2:  # as mostly, and an alignment takes fifty times as long to tell
        return None
    alignment = align(asked, wording)
    if len(alignment.left) != 1 or len(alignment.right) != 1:
        return None
    ours, theirs = alignment.left[0], alignment.right[0]
    alone = alignment.left_words | alignment.right_words == {ours.word, theirs.word}
    return ours if alone and _is_verb(ours, asked) and _is_verb(theirs, wording) else None


def _is_verb(token: Token, question: ParsedQuestion) -> bool:
    words = ("", "", *question.words)
    return any(
        word == token.word and (before in _BEFORE_VERBS or (before == "to" and first in _BEFORE_TO))
        for first, before, word in zip(words, words[1:], words[2:], strict=False)
    )


def _alike(one: Token, other: Token) -> bool:
    return one.word == other.word or same_word(one, other) or not meanings(one.word).isdisjoint(meanings(other.word))
