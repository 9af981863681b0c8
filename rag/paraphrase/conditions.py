"""Does a question add a condition that no wording of an answer has: "at Christmas", "in German", "for the blind"?

Such a question is closer to its answer's wordings than many a paraphrase. That another word was added says little,
so only conditions of closed classes count (`word_lists/conditions.txt`), and none that a wording has a member of:
people ask "in Oslo" and "in Rome" and want one answer. What each class costs is in docs/semantic-hits.md.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence

from rag.paraphrase.lexicon import conditions
from rag.paraphrase.question_parser import parse


def adds_a_condition(asked: str, wordings: Sequence[str]) -> bool:
    """Whether a question names something of a class of which no wording of an answer names anything."""
    added = _named(asked)[0]
    return bool(added) and not added <= frozenset().union(*(_named(each)[1] for each in wordings))


@functools.lru_cache(maxsize=65536)
def _named(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the classes that a text adds where it is a question, and those that it names where it is a wording."""
    words = parse(text).words
    pairs = {f"{one}_{other}" for one, other in itertools.pairwise(words)}
    adding, naming = conditions()
    return _classes(adding, words, pairs), _classes(naming, words, pairs)


def _classes(known: Mapping[str, frozenset[str]], *named: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(known[each] for each in itertools.chain(*named) if each in known))
