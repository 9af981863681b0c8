"""Who does what to whom: do two questions give their common words the same roles?

"From Paris to London" and "from London to Paris" hold the same words, and so do "do dogs chase cats" and "do cats
chase dogs". Without a grammar, a word's role is the preposition that governs it, otherwise its position among the
words without one, allowing for the passive. Words may move freely as part of a phrase ("to London from Paris") or a
list ("A and B", "between B and A"), and so may superlatives and light verbs.
"""

from __future__ import annotations

import functools

from rag.paraphrase.lexicon import BASE_FORMS, FORMS_OF_BE, stem, word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion, Token, inversions


def roles_swapped(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether two common words have swapped roles: who does what, to whom, from where."""
    pairs = alignment.pairs
    for n, (i, j) in enumerate(pairs):
        for k, m in pairs[n + 1 :]:
            if _exchanged(first.content[i], first.content[k], second.content[j], second.content[m]):
                return True
            if j > m and _alike_and_swapped(first, second, first.content[i], first.content[k], alignment):
                return True
    return (
        _stranded(first, second, alignment)
        or _reordered(first, second, alignment)
        or _others_act(first, second, alignment)
    )


def _stranded(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether a preposition or "me" at another place swaps the roles: "taller than John", "is John taller than"."""
    if alignment.left or alignment.right:
        return False
    ends = {question.words[-1] for question in (first, second) if question.words} & _DIRECTED
    if any(end in first.words and end in second.words and first.words[-1] != second.words[-1] for end in ends):
        return True
    return _object_me(first) != _object_me(second) and _subject_i(first) != _subject_i(second)


def directions_differ(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether a common word is on the other side in one question: "to Berlin", "from Berlin"; "before", "after".

    Only where the words are the same: with others the same may be said from another side ("prevent", "keep from").
    """
    if len(alignment.left) + len(alignment.right) > 1 or _COMPARED & {*first.words, *second.words}:
        return False
    pairs = ((first.content[i].preposition, second.content[j].preposition) for i, j in alignment.pairs)
    return any(frozenset(pair) in _OPPOSITE_SIDES for pair in pairs)


_COMPARED = frozenset(("different", "differ", "differs", "difference", "compare", "compared"))
_OPPOSITE_SIDES = frozenset(
    frozenset(pair.split(", "))
    for pair in (
        "to, from", "to, out of", "before, after", "before, during", "during, after", "until, after", "until, from",
        "above, below", "for, against",
    )
)  # fmt: skip
_DIRECTED = frozenset(("than", "from", "to", "by", "for", "over", "against"))


def _others_act(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether the asker and another person swap roles: "can I add my wife", "can my wife add me"."""
    if alignment.exchanges({"me"}, {"myself"}):
        return True
    subjects = _subject(first), _subject(second)
    if None in subjects or (subjects[0] == _ASKER) == (subjects[1] == _ASKER):
        return False
    person, asked_by_them = (subjects[1], first) if subjects[0] == _ASKER else (subjects[0], second)
    return person in _persons() and any(token.stem == person for token in asked_by_them.content)


_ASKER = "i"
_ASKERS = frozenset((_ASKER, "we"))


def _subject(question: ParsedQuestion) -> str | None:
    """Return the stem of a question's subject: "i" for the asker, None if no auxiliary precedes it."""
    tokens = question.tokens
    after = next((n + 1 for n, token in enumerate(tokens) if token.word in word_class("polar")), len(tokens))
    for token in tokens[after : after + 3]:
        if token.word in _ASKERS:
            return _ASKER
        if token.word not in _DETERMINERS:
            return token.stem
    return None


_DETERMINERS = frozenset(("my", "our", "his", "her", "their", "the", "a", "an"))


@functools.cache
def _persons() -> frozenset[str]:
    return frozenset(map(stem, word_class("person")))


def _object_me(question: ParsedQuestion) -> bool:
    before = ("", *question.words)
    return any(word in ("me", "us") and before[n] in _DIRECTED | {"with"} for n, word in enumerate(question.words))


def _subject_i(question: ParsedQuestion) -> bool:
    return bool(_ASKERS & set(question.words))


def _exchanged(a: Token, b: Token, a2: Token, b2: Token) -> bool:
    """Whether two words have swapped prepositions: from A to B, then to A from B."""
    return (
        a.preposition != b.preposition
        and a.preposition == b2.preposition
        and b.preposition == a2.preposition
        and a.stem != b.stem
    )


def _alike_and_swapped(first: ParsedQuestion, second: ParsedQuestion, a: Token, b: Token, alignment: Alignment) -> bool:
    """Whether two words with the same preposition have swapped places: "in Rome when it is noon in Lima"."""
    if alignment.left or alignment.right or not a.preposition or a.preposition != b.preposition or a.stem == b.stem:
        return False
    symmetric = word_class("symmetric")
    return all(each.words.count(a.preposition) > 1 and not symmetric & set(each.words) for each in (first, second))


def _reordered(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether words without a preposition swapped places and nothing else differs.

    One unmatched word is tolerated if the whole order is reversed ("do dogs chase cats").
    """
    unmatched = len(alignment.left) + len(alignment.right)
    symmetric = word_class("symmetric")
    if unmatched > 1 or (symmetric & set(first.words) and symmetric & set(second.words)):
        return False
    pairs = [(first.content[i], second.content[j]) for i, j in alignment.pairs if _movable(first.content[i])]
    voices = participle(first), participle(second)
    agents = ("", "by") if any(voices) else ("",)
    bare = [(a, b) for a, b in pairs if a.preposition in agents and b.preposition in agents]
    if (voices[0] is None) != (voices[1] is None):
        return _voice_differs(first, second, bare, voices)
    order = [second.content.index(b) for _, b in sorted(bare, key=lambda pair: first.content.index(pair[0]))]
    return inversions(order) > (2 if unmatched else 0)


def _voice_differs(
    first: ParsedQuestion,
    second: ParsedQuestion,
    bare: list[tuple[Token, Token]],
    voices: tuple[Token | None, Token | None],
) -> bool:
    """Whether an active and a passive question have different agents."""
    passive, active = (first, second) if voices[0] else (second, first)
    pairs = bare if voices[0] else [(b, a) for a, b in bare]
    if any(token.preposition == "by" for token in passive.content):
        agents = [active.content.index(b) for a, b in pairs if a.preposition == "by"]
        others = [active.content.index(b) for a, b in pairs if a.preposition != "by" and a not in voices]
        return bool(agents and others) and max(agents) > min(others)
    order = sorted(bare, key=lambda pair: first.content.index(pair[0]))
    return inversions([second.content.index(b) for a, b in order if a not in voices and b not in voices]) > 0


def _movable(token: Token) -> bool:
    """Whether a word's position carries a role; that of superlatives, adverbs and light verbs does not."""
    return token.word not in word_class("light") and token.word != "not" and not token.word.endswith(("est", "ly"))


def participle(question: ParsedQuestion) -> Token | None:
    """Return the participle of a passive ("is installed", "was Hamlet written by"), or None."""
    left = 0  # content words still allowed between the form of "be" and its participle
    for token in question.tokens:
        if token.word in FORMS_OF_BE:
            left = 4
        elif token.content and left:
            if (len(token.word) > 4 and token.word.endswith("ed")) or token.word in BASE_FORMS:
                return token
            left -= 1
        elif token.word in ("do", "does", "did"):
            left = 0
    return None
