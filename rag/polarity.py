"""Hard guards: what makes two questions different however close their vectors are.

Encoders and cross-encoders that learned from question pairs rank "enable" beside "disable" and "from A to
B" beside "from B to A" above true paraphrases, and more pairs of that kind do not teach them otherwise. So
polarity has rules of its own, which come before any score: a guard that speaks is final. Each looks at what
*differs* once the words that both questions share are taken away, so a question about "pros and cons" is
not refused for holding opposites. In doubt a guard refuses: a refusal costs one live answer, a false hit
costs a wrong one. What they cost in hits is measured in docs/semantic-hits.md.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rag.lexicon import are_opposites, are_synonyms, lexicon, shared_kind, stem
from rag.wording import BASE_FORMS, Token, Wording

Guard = Callable[[Wording, Wording, "Alignment"], bool]

_INFLECTIONS = frozenset(
    ("", "s", "es", "e", "ed", "d", "ing", "ings", "y", "ies", "ied", "ly", "ion", "ions", "ation", "ations",
     "ment", "ments", "al", "als", "er", "ers", "est", "i", "'s", "ning", "ting", "ling", "ping", "ted", "ped")
)  # fmt: skip
_TYPO_LETTERS = 6  # shorter words differ by a letter too often to be one word misspelt


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which words of two questions correspond: pairs of positions, and what is left on each side.

    `pairs` are (index in the first's content, index in the second's content). `loose` counts the pairs that
    are synonyms or misspellings rather than the same word.
    """

    pairs: tuple[tuple[int, int], ...]
    loose: int
    left: tuple[Token, ...]
    right: tuple[Token, ...]
    left_words: frozenset[str]
    right_words: frozenset[str]


def align(first: Wording, second: Wording) -> Alignment:
    """Pair the content words of two questions: same word, inflection, synonym, misspelling, in that order."""
    pairs: list[tuple[int, int]] = []
    left, right = list(range(len(first.content))), list(range(len(second.content)))
    for step, same in enumerate((_identical, same_word, _synonymous, _misspelt)):
        for i in left[:]:
            j = _nearest(i, [k for k in right if same(first.content[i], second.content[k])])
            if j is not None:
                pairs.append((i, j))
                left.remove(i)
                right.remove(j)
        if step == 1:
            strict = len(pairs)
    ours, theirs = Counter(first.words), Counter(second.words)
    left_words, right_words = set(ours - theirs), set(theirs - ours)
    one, other = _open_phrases([first.content[i] for i in left]), _open_phrases([second.content[j] for j in right])
    for token in one[:]:
        twin = next((each for each in other if same_word(token, each)), None)
        if twin is not None:
            one.remove(token)
            other.remove(twin)
    return Alignment(
        pairs=tuple(sorted(pairs)),
        loose=len(pairs) - strict,
        left=tuple(one),
        right=tuple(other),
        left_words=_with_parts(left_words, right_words),
        right_words=_with_parts(right_words, left_words),
    )


def _open_phrases(tokens: list[Token]) -> list[Token]:
    """Replace phrases that found no counterpart by their content words: "maternity leave" beside "paternity leave"."""
    frame, found = lexicon().roles["function"], []
    for token in tokens:
        parts = [part for part in token.word.split("_") if part not in frame]
        single = len(parts) == 1 and "_" not in token.word
        found += [token] if single or not parts else [Token(p, stem(p), True, token.name, token.marker) for p in parts]
    return found


def _with_parts(words: set[str], others: set[str]) -> frozenset[str]:
    parts = {part for word in words if "_" in word for part in word.split("_")}
    return frozenset(words | (parts - {part for other in others for part in other.split("_")}))


def _nearest(i: int, candidates: list[int]) -> int | None:
    return min(candidates, key=lambda k: abs(k - i), default=None)


def _identical(one: Token, other: Token) -> bool:
    return one.word == other.word


def same_word(one: Token, other: Token) -> bool:
    """Say whether two words are forms of one; "important" and "import" share a stem and are not."""
    return (one.stem == other.stem and _inflected(one.word, other.word)) or _superlative(one.word, other.word)


@functools.lru_cache(maxsize=65536)
def _superlative(one: str, other: str) -> bool:
    base, longer = sorted((one, other), key=len)
    return len(base) > 3 and longer in (base + "est", base + "st", base.removesuffix("r") + "st")


@functools.lru_cache(maxsize=65536)
def _inflected(one: str, other: str) -> bool:
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    rests = {one[shared:], other[shared:]}
    return rests <= _INFLECTIONS


def _synonymous(one: Token, other: Token) -> bool:
    return (
        are_synonyms(one.word, other.word)
        and not are_opposites(one.word, other.word)
        and not shared_kind(one.word, other.word)
    )


def _misspelt(one: Token, other: Token) -> bool:
    return misspelt(one.word, other.word)


@functools.lru_cache(maxsize=65536)
def misspelt(one: str, other: str) -> bool:
    """Say whether two long words differ by one letter more, less, exchanged or transposed, and mean nothing else."""
    if min(len(one), len(other)) < _TYPO_LETTERS or one[0] != other[0] or abs(len(one) - len(other)) > 1:
        return False
    if one.startswith("#") or are_opposites(one, other) or shared_kind(one, other) or (_known(one) and _known(other)):
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    a, b = one[start:], other[start:]
    return a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:]) or a[1:] == b[1:]


def _known(word: str) -> bool:
    words = lexicon()
    return word in words.kinds or word in words.opposites or word in words.synonyms


def objection(first: Wording, second: Wording, alignment: Alignment, similarity: float) -> str | None:
    """Return why the two questions can't have one answer, as a short label, or None if no guard speaks."""
    for label, guard in _GUARDS:
        if guard(first, second, alignment):
            return label
    return exchange_of_function_words(first, second, alignment) or exchange(alignment, similarity)


def _numbers_differ(first: Wording, second: Wording, _: Alignment) -> bool:
    ours, theirs = Counter(first.numbers), Counter(second.numbers)
    only_ours, only_theirs = ours - theirs, theirs - ours
    if set(only_ours) <= {"1"} and not only_theirs:
        return bool(only_ours) and not {"one", "a", "an", "single"} & set(second.words)
    if set(only_theirs) <= {"1"} and not only_ours:
        return not {"one", "a", "an", "single"} & set(first.words)
    return True


def _negation_differs(first: Wording, second: Wording, alignment: Alignment) -> bool:
    if first.negations == second.negations:
        return False
    fewer, more = sorted((first, second), key=lambda each: each.negations)
    soft = lexicon().roles["soft_negation"] & (alignment.left_words | alignment.right_words)
    covered = any(word in soft and word in fewer.words for word in fewer.words)
    return not (covered and more.negations - fewer.negations == 1)


def _kind_differs(prefixes: tuple[str, ...], others: bool = False) -> Guard:
    def guard(_: Wording, __: Wording, alignment: Alignment) -> bool:
        kinds = [shared_kind(a.word, b.word) for a in alignment.left for b in alignment.right]
        return any(kind and (kind.startswith(prefixes) != others) for kind in kinds)

    return guard


def _antonyms(first: Wording, second: Wording, alignment: Alignment) -> bool:
    ours = {t.word for t in alignment.left} | (alignment.left_words - {t.word for t in first.content})
    theirs = {t.word for t in alignment.right} | (alignment.right_words - {t.word for t in second.content})
    return any(are_opposites(a, b) for a in ours for b in theirs)


def _names_differ(_: Wording, __: Wording, alignment: Alignment) -> bool:
    ours = [token for token in alignment.left if token.name]
    theirs = [token for token in alignment.right if token.name]
    return bool(ours) and bool(theirs)


def _asks_differ(first: Wording, second: Wording, _: Alignment) -> bool:
    return first.asks != second.asks and {first.asks, second.asks} <= _DEFINITE


_DEFINITE = frozenset(
    ("who", "when", "where", "why", "how much", "how many", "how long", "how old", "how often", "how far", "how tall",
     "how big", "how fast", "how deep")
)  # fmt: skip


def _roles_swapped(first: Wording, second: Wording, alignment: Alignment) -> bool:
    pairs = alignment.pairs
    for n, (i, j) in enumerate(pairs):
        for k, m in pairs[n + 1 :]:
            if _exchanged(first.content[i], first.content[k], second.content[j], second.content[m]):
                return True
    return _stranded(first, second, alignment) or _reordered(first, second, alignment)


def _stranded(first: Wording, second: Wording, alignment: Alignment) -> bool:
    """Say whether a preposition or "me" tells the roles apart: "taller than John", "is John taller than"."""
    if alignment.left or alignment.right:
        return False
    ends = {wording.words[-1] for wording in (first, second) if wording.words} & _DIRECTED
    if any(end in first.words and end in second.words and first.words[-1] != second.words[-1] for end in ends):
        return True
    return _object_me(first) != _object_me(second) and _subject_i(first) != _subject_i(second)


_DIRECTED = frozenset(("than", "from", "to", "by", "for", "over", "against"))


def _object_me(wording: Wording) -> bool:
    before = ("", *wording.words)
    return any(word in ("me", "us") and before[n] in _DIRECTED | {"with"} for n, word in enumerate(wording.words))


def _subject_i(wording: Wording) -> bool:
    return bool({"i", "we"} & set(wording.words))


def _exchanged(a: Token, b: Token, a2: Token, b2: Token) -> bool:
    """Say whether two words govern each other's place: a from, b to; then a to, b from."""
    return a.marker != b.marker and a.marker == b2.marker and b.marker == a2.marker and a.stem != b.stem


def _reordered(first: Wording, second: Wording, alignment: Alignment) -> bool:
    """Say whether bare words (no preposition) changed places where nothing else differs.

    One unmatched word is forgiven if the order is turned round as a whole ("do dogs chase cats").
    """
    unmatched = len(alignment.left) + len(alignment.right)
    symmetric = lexicon().roles["symmetric"]
    if unmatched > 1 or (symmetric & set(first.words) and symmetric & set(second.words)):
        return False
    pairs = [(first.content[i], second.content[j]) for i, j in alignment.pairs if _movable(first.content[i])]
    voices = participle(first), participle(second)
    agents = ("", "by") if any(voices) else ("",)
    bare = [(a, b) for a, b in pairs if a.marker in agents and b.marker in agents]
    if (voices[0] is None) != (voices[1] is None):
        return _voice_differs(first, second, bare, voices)
    order = [second.content.index(b) for _, b in sorted(bare, key=lambda pair: first.content.index(pair[0]))]
    return inversions(order) > (2 if unmatched else 0)


def _voice_differs(
    first: Wording, second: Wording, bare: list[tuple[Token, Token]], voices: tuple[Token | None, Token | None]
) -> bool:
    """Compare an active question with a passive one: who acts must be the same."""
    passive = first if voices[0] else second
    order = [second.content.index(b) for _, b in sorted(bare, key=lambda pair: first.content.index(pair[0]))]
    if any(token.marker == "by" for token in passive.content):
        return inversions(order[::-1]) > 0
    without = [second.content.index(b) for a, b in bare if a not in voices and b not in voices]
    return inversions(without) > 0


def _movable(token: Token) -> bool:
    """Say whether a word's place carries a role; superlatives and light verbs wander without a change of meaning."""
    return token.word not in lexicon().roles["light"] and token.word != "not" and not token.word.endswith("est")


def participle(wording: Wording) -> Token | None:
    """Return the participle of a passive ("is installed", "was Hamlet written by"), or None."""
    left = 0  # content words that may still stand between the form of "be" and its participle
    for token in wording.tokens:
        if token.word in _BE:
            left = 4
        elif token.content and left:
            if (len(token.word) > 4 and token.word.endswith("ed")) or token.word in BASE_FORMS:
                return token
            left -= 1
        elif token.word in ("do", "does", "did"):
            left = 0
    return None


_BE = frozenset(("is", "are", "was", "were", "be", "been", "being"))


def inversions(order: list[int]) -> int:
    """Count the pairs that stand the other way round."""
    return sum(a > b for n, a in enumerate(order) for b in order[n + 1 :])


def exchange(alignment: Alignment, similarity: float) -> str | None:
    """Refuse a question in which one or two words are added, or exchanged for others not known to mean the same.

    An exchanged word outside the lexicon may be a synonym ("stain", "spot") or another thing ("mitosis",
    "meiosis"), an added one may be idle or narrow the question ("for students"). Where the rest is word for
    word the same, only a very close vector speaks for the former; one who asks in other words changes more.
    """
    left, right = alignment.left, alignment.right
    if not (left or right) or len(left) > _MOST_EXCHANGED or len(right) > _MOST_EXCHANGED:
        return None
    exchanged = {token.word for token in left + right}
    others = len((alignment.left_words | alignment.right_words) - exchanged)
    if others >= _REPHRASED:
        return "content_differs" if left and right and similarity < _CLOSE_WHERE_REPHRASED else None
    needed = _CLOSE_WHERE_EXCHANGED if left and right else _CLOSE_WHERE_ADDED
    return "content_differs" if similarity < needed else None


_MOST_EXCHANGED = 2  # content words on a side; where more differ, the model has enough to go by
_REPHRASED = 3  # other words that differ, from which on a question counts as put otherwise
_CLOSE_WHERE_EXCHANGED, _CLOSE_WHERE_ADDED, _CLOSE_WHERE_REPHRASED = 0.95, 0.93, 0.82  # cosine


def exchange_of_function_words(first: Wording, second: Wording, alignment: Alignment) -> str | None:
    """Refuse what differs in quantifier, tense or modality alone."""
    roles = lexicon().roles
    ours, theirs = alignment.left_words, alignment.right_words

    def exchanged(one: str, other: str) -> bool:
        a, b = roles[one], roles[other]
        return bool((ours & a and theirs & b) or (ours & b and theirs & a))

    if exchanged("all", "part") or bool(ours & roles["only"]) != bool(theirs & roles["only"]):
        return "quantifiers_differ"
    if exchanged("past", "future"):
        return "tense_differs"
    if first.asks == second.asks == "polar" and exchanged("modal_ability", "modal_duty"):
        return "modality_differs"
    return None


_GUARDS = (
    ("numbers_differ", _numbers_differ),
    ("units_differ", _kind_differs(("unit",))),
    ("dates_differ", _kind_differs(("date",))),
    ("negation_differs", _negation_differs),
    ("antonyms", _antonyms),
    ("names_differ", _kind_differs(("unit", "date"), others=True)),
    ("names_differ", _names_differ),
    ("asks_differ", _asks_differ),
    ("roles_swapped", _roles_swapped),
)
