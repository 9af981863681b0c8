"""Does a question ask to do another thing than any wording of an answer, or something about another thing?

Two wordings that differ in one word mostly fill a gap differently, and want one answer ("what time is it in Oslo", "in
Rome"). Something else is wanted where the word is the verb, and no wording of the answer has it ("pause" beside
"cancel"), and where no other wording fills the place ("How many films can I borrow?" beside "books"). And to end a
thing is never what an answer is about whose wordings end nothing ("turn off the voicemail" beside "set up").
"""

from __future__ import annotations

from collections.abc import Sequence

from rag.paraphrase.alignment import align, same_meaning
from rag.paraphrase.lexicon import stem, word_class
from rag.paraphrase.parsed_question import ParsedQuestion, Token
from rag.paraphrase.question_parser import parse

_BEFORE_VERBS = frozenset("i we you please".split())
_BEFORE_TO = frozenset("how want need like have has able going wish try love used".split())  # "want to", not "way to"
_ENDING = frozenset("remove delete disable deactivate cancel stop turn_off switch_off uninstall quit".split())
_ENDED = frozenset(  # by the stems of these words; what has been ended is not ("a deleted project")
    stem(word) if "_" not in word else word
    for word in (
        *_ENDING,
        *"end terminate close leave unsubscribe revoke undo reverse block reject refuse kill clear erase wipe shut "
        "freeze silence mute pause avoid prevent drop rid out off no not without".split(),
    )
)
_DETERMINERS = frozenset("a an the my your our any some this that these those".split())
_CLOSEST = 5  # wordings that are compared; all of them are searched for the verb


def does_another_thing(asked: ParsedQuestion, wordings: Sequence[str]) -> bool:
    """Whether a question is one of the closest wordings (nearest first) but for its verb, which none of them has."""
    verbs = [verb for each in wordings[:_CLOSEST] if (verb := _other_verb(asked, parse(each))) is not None]
    if verbs and not any(same_meaning(verbs[0], token) for each in wordings for token in parse(each).content):
        return True
    return _ends_something(asked) and not any(map(_is_about_ending, wordings))


def is_about_another_thing(asked: ParsedQuestion, wordings: Sequence[str]) -> bool:
    """Whether a question is the closest wording but for one word, which none has and which fills no gap."""
    closest = parse(wordings[0])
    differing = _differing(asked, closest) if asked.asks else None
    if differing is None or differing[0].word in word_class("light"):
        return False
    ours, theirs = differing
    parsed = [parse(each) for each in wordings]
    if any(same_meaning(ours, token) for each in parsed for token in each.content):
        return False
    return not any(_fills_a_gap(theirs, closest, each) for each in parsed)


def _fills_a_gap(word: Token | None, closest: ParsedQuestion, other: ParsedQuestion) -> bool:
    """Whether another wording has something else in the place of a word, or behind the same preposition."""
    if word and word.preposition:
        behind = (token for token in other.content if token.preposition == word.preposition)
        if not all(same_meaning(token, word) for token in behind):
            return True
    differing = _differing(other, closest)
    return differing is not None and differing[1] == word


def _differing(one: ParsedQuestion, other: ParsedQuestion) -> tuple[Token, Token | None] | None:
    """Return the only word that a question has beyond another, and the one that it replaces, if any.

    Determiners don't count. Numbers are left to the guards.
    """
    if len(({*one.words} ^ {*other.words}) - _DETERMINERS) > 2:  # as mostly, and an alignment takes fifty times as long
        return None
    alignment = align(one, other)
    if len(alignment.left) != 1 or len(alignment.right) > 1:
        return None
    ours, theirs = alignment.left[0], next(iter(alignment.right), None)
    alone = (alignment.left_words | alignment.right_words) - _DETERMINERS <= {ours.word, theirs.word if theirs else ""}
    return (ours, theirs) if alone and not ours.word.startswith("#") else None


def _other_verb(asked: ParsedQuestion, wording: ParsedQuestion) -> Token | None:
    """Return the verb of a question where it is all that differs from a wording, or None."""
    ours, theirs = _differing(asked, wording) or (None, None)
    return ours if ours and theirs and _is_verb(ours, asked) and _is_verb(theirs, wording) else None


def _ends_something(asked: ParsedQuestion) -> bool:
    return any(token.word in _ENDING and _is_verb(token, asked) for token in asked.content)


def _is_about_ending(wording: str) -> bool:
    return any(token.stem in _ENDED and not token.word.endswith("ed") for token in parse(wording).tokens)


def _is_verb(token: Token, question: ParsedQuestion) -> bool:
    words = ("", "", *question.words)
    return any(
        word == token.word and (before in _BEFORE_VERBS or (before == "to" and first in _BEFORE_TO))
        for first, before, word in zip(words, words[1:], words[2:], strict=False)
    )
