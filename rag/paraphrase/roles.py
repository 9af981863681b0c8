"""Who does what to whom: do two questions give the words that they share the same roles?

"From Paris to London" and "from London to Paris" hold the same words, and so do "do dogs chase cats" and
"do cats chase dogs". There is no parser here: a word's role is the preposition that governs it, else its
place among the bare words, read with an eye on the passive. What only moves as a whole ("to London from
Paris"), stands in a list ("A and B", "between B and A") or is a superlative or light verb may wander.
"""

from __future__ import annotations

import functools

from rag.paraphrase.lexicon import BASE_FORMS, FORMS_OF_BE, stem, word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion, Token, inversions


def roles_swapped(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Say whether two words of both questions have changed places: who does what, to whom, from where."""
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
    """Say whether a preposition or "me" tells the roles apart: "taller than John", "is John taller than"."""
    if alignment.left or alignment.right:
        return False
    ends = {question.words[-1] for question in (first, second) if question.words} & _DIRECTED
    if any(end in first.words and end in second.words and first.words[-1] != second.words[-1] for end in ends):
        return True
    return _object_me(first) != _object_me(second) and _subject_i(first) != _subject_i(second)


_DIRECTED = frozenset(("than", "from", "to", "by", "for", "over", "against"))


def _others_act(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Say whether the asker and another person change places: "can I add my wife", "can my wife add me"."""
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
    """Return the stem of the subject of a question, "i" for the asker, None where no auxiliary shows it."""
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
    """Say whether two words govern each other's place: a from, b to; then a to, b from."""
    return (
        a.preposition != b.preposition
        and a.preposition == b2.preposition
        and b.preposition == a2.preposition
        and a.stem != b.stem
    )


def _alike_and_swapped(first: ParsedQuestion, second: ParsedQuestion, a: Token, b: Token, alignment: Alignment) -> bool:
    """Say whether two words have changed places that one preposition marks twice: "in Rome when it is noon in Lima"."""
    if alignment.left or alignment.right or not a.preposition or a.preposition != b.preposition or a.stem == b.stem:
        return False
    symmetric = word_class("symmetric")
    return all(each.words.count(a.preposition) > 1 and not symmetric & set(each.words) for each in (first, second))


def _reordered(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Say whether bare words (no preposition) changed places where nothing else differs.

    One unmatched word is forgiven if the order is turned round as a whole ("do dogs chase cats").
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
    """Compare an active question with a passive one: who acts must be the same."""
    passive = first if voices[0] else second
    order = [second.content.index(b) for _, b in sorted(bare, key=lambda pair: first.content.index(pair[0]))]
    if any(token.preposition == "by" for token in passive.content):
        return inversions(order[::-1]) > 0
    without = [second.content.index(b) for a, b in bare if a not in voices and b not in voices]
    return inversions(without) > 0


def _movable(token: Token) -> bool:
    """Say whether a word's place carries a role; superlatives, adverbs and light verbs wander without one."""
    return token.word not in word_class("light") and token.word != "not" and not token.word.endswith(("est", "ly"))


def participle(question: ParsedQuestion) -> Token | None:
    """Return the participle of a passive ("is installed", "was Hamlet written by"), or None."""
    left = 0  # content words that may still stand between the form of "be" and its participle
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
