"""Does a question add a condition that no wording of an answer has: "at Christmas", "in German", "for the blind"?

Such a question is closer to its answer's wordings than many a paraphrase. That another word was added says little,
so only conditions of closed classes count (`word_lists/conditions.txt`), and phrases behind the words of a wording
("for uploads"). None counts that a wording has a member of, or a phrase with the same preposition: people ask "in Oslo"
and "in Rome" and want one answer. What each of them costs is in docs/semantic-hits.md.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence

from rag.paraphrase.alignment import align, same_meaning
from rag.paraphrase.lexicon import conditions
from rag.paraphrase.parsed_question import ParsedQuestion, Token
from rag.paraphrase.question_parser import parse

_CLOSEST = 3  # wordings that a phrase may be added to
_ADDED = 2  # words, at most


def adds_a_condition(asked: str, wordings: Sequence[str]) -> bool:
    """Whether a question names something of a class of which no wording of an answer names anything."""
    added = _named(asked)[0]
    return bool(added) and not added <= frozenset().union(*(_named(each)[1] for each in wordings))


def adds_a_phrase(asked: ParsedQuestion, wordings: Sequence[str]) -> bool:
    """Whether a question is one of the closest wordings (nearest first) and a phrase like none that a wording has."""
    if not asked.asks or not any(token.preposition for token in asked.content[1:]):
        return False
    added = next((found for each in wordings[:_CLOSEST] if (found := _added(asked, parse(each)))), ())
    if not added:
        return False
    words = [token for each in wordings for token in parse(each).content]
    prepositions = {token.preposition for token in added}
    return not any(
        word.preposition in prepositions or any(same_meaning(token, word) for token in added) for word in words
    )


def _added(asked: ParsedQuestion, wording: ParsedQuestion) -> tuple[Token, ...]:
    """Return the words of the phrases that a question has beyond those of a wording; none where it lacks one."""
    if not 0 < len(asked.content) - len(wording.content) <= _ADDED:
        return ()
    alignment = align(asked, wording)
    added = alignment.left
    if alignment.right or len(added) > _ADDED or asked.content[0] in added:
        return ()
    return added if all(token.preposition for token in added) else ()


@functools.lru_cache(maxsize=65536)
def _named(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the classes that a text adds where it is a question, and those that it names where it is a wording."""
    words = parse(text).words
    pairs = {f"{one}_{other}" for one, other in itertools.pairwise(words)}
    adding, naming = conditions()
    return _classes(adding, words, pairs), _classes(naming, words, pairs)


def _classes(known: Mapping[str, frozenset[str]], *named: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(known[each] for each in itertools.chain(*named) if each in known))
