"""Does a question ask to do another thing than any wording of an answer: "pause" where the answer is how to cancel?

Two wordings that differ in one word mostly fill a gap differently, and want one answer ("what time is it in Oslo", "in
Rome"). Only where the word is the verb, and no wording of the answer has it, something else is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag.paraphrase.alignment import align, same_word
from rag.paraphrase.lexicon import meanings
from rag.paraphrase.parsed_question import ParsedQuestion, Token

_BEFORE_VERBS = frozenset("i we you please".split())
_BEFORE_TO = frozenset("how want need like have has able going wish try love used".split())  # "want to", not "way to"
_CLOSEST = 5  # wordings that are compared; all of them are searched for the verb


def does_another_thing(asked: ParsedQuestion, wordings: Sequence[ParsedQuestion]) -> bool:
    """Whether a question is one of the closest wordings (nearest first) but for its verb, which none of them has."""
    return any(_differs_in_verb(asked, each, wordings) for each in wordings[:_CLOSEST])


def _differs_in_verb(asked: ParsedQuestion, wording: ParsedQuestion, wordings: Sequence[ParsedQuestion]) -> bool:
    if len({*asked.words} ^ {*wording.words}) > 2:  # as mostly, and an alignment takes fifty times as long to tell
        return False
    alignment = align(asked, wording)
    if len(alignment.left) != 1 or len(alignment.right) != 1:
        return False
    ours, theirs = alignment.left[0], alignment.right[0]
    return (
        alignment.left_words | alignment.right_words == {ours.word, theirs.word}
        and _is_verb(ours, asked)
        and _is_verb(theirs, wording)
        and not any(_alike(ours, token) for each in wordings for token in each.content)
    )


def _is_verb(token: Token, question: ParsedQuestion) -> bool:
    words = ("", "", *question.words)
    return any(
        word == token.word and (before in _BEFORE_VERBS or (before == "to" and first in _BEFORE_TO))
        for first, before, word in zip(words, words[1:], words[2:], strict=False)
    )


def _alike(one: Token, other: Token) -> bool:
    return one.word == other.word or same_word(one, other) or not meanings(one.word).isdisjoint(meanings(other.word))
