"""Guards refuse pairs that differ in meaning, however close their vectors are.

Encoders and cross-encoders trained on question pairs rank "enable" beside "disable" and "from A to B" beside "from B
to A" above true paraphrases, and more such pairs in training don't help. So guards run before any score and are final.
Each looks only at what *differs* between the two questions: one about "pros and cons" is not refused for containing
opposites. When in doubt a guard refuses: that costs one live answer, a false hit gives a wrong one. What guards cost in
hits is in docs/semantic-hits.md.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator

from rag.paraphrase.code_terms import code_differs
from rag.paraphrase.lexicon import are_opposites, shared_kind, word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion
from rag.paraphrase.persons import persons_differ
from rag.paraphrase.question_parser import SPANS
from rag.paraphrase.roles import directions_differ, roles_swapped
from rag.paraphrase.tense import tense_differs

Guard = Callable[[ParsedQuestion, ParsedQuestion, Alignment], bool]


def objection(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment, similarity: float) -> str | None:
    """Return why two questions can't share an answer, as a short label, or None if no guard refuses them."""
    return next(objections(first, second, alignment), None) or exchange(alignment, similarity)


def objections(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> Iterator[str]:
    """Yield what every guard says that refuses two questions, whatever the score; a label may come twice."""
    for label, guard in _GUARDS:
        if guard(first, second, alignment):
            yield label
    if found := exchange_of_function_words(first, second, alignment):
        yield found


def contradiction(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> str | None:
    """Return why two statements about one thing can't both be true, as a short label, or None.

    One statement may say more than the other, so a number counts only if the other statement has a different one, and
    guards about what a question asks for don't apply.
    """
    return next((label for label, guard in _CONTRADICTIONS if guard(first, second, alignment)), None)


def _numbers_exchanged(first: ParsedQuestion, second: ParsedQuestion, _: Alignment) -> bool:
    ours, theirs = Counter(first.numbers), Counter(second.numbers)
    return bool(ours - theirs) and bool(theirs - ours)


def _numbers_differ(first: ParsedQuestion, second: ParsedQuestion, _: Alignment) -> bool:
    if first.numbers == second.numbers:  # as nearly always
        return False
    ours, theirs = Counter(first.numbers), Counter(second.numbers)
    only_ours, only_theirs = ours - theirs, theirs - ours
    if set(only_ours) <= {"1"} and not only_theirs:
        return bool(only_ours) and not {"one", "a", "an", "single"} & set(second.words)
    if set(only_theirs) <= {"1"} and not only_ours:
        return not {"one", "a", "an", "single"} & set(first.words)
    return True


def _parts_of_numbers_swapped(first: ParsedQuestion, second: ParsedQuestion, _: Alignment) -> bool:
    """Whether a number of several parts has them in another order: 3/4 and 4/3, 03/04/2024 and 04/03/2024."""
    if len(first.numbers) < 2 or len(second.numbers) < 2:
        return False
    ours, theirs = _in_parts(first.written), _in_parts(second.written)
    return any(sorted(a) == sorted(b) for a in ours - theirs for b in theirs - ours)


def _in_parts(text: str) -> set[tuple[int, ...]]:
    return {tuple(map(int, re.findall(r"\d+", found.group()))) for found in _IN_PARTS.finditer(text)}


_IN_PARTS = re.compile(r"\d+(?:[/.:-]\d+)+")


def _negation_differs(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    left, right = ([token.word for token in side] for side in (alignment.left, alignment.right))
    if first.negations == second.negations:
        return _denies(left, right) or _denies(right, left)
    spare = left if first.negations < second.negations else right
    covered = any(word in word_class("soft_negation") for word in spare)
    return not (covered and abs(first.negations - second.negations) == 1)


def _denies(added: list[str], others: list[str]) -> bool:
    """Whether the only words added are verbs that negate the rest: "should I avoid tipping"."""
    return bool(added) and not others and all(word in word_class("denial") for word in added)


def _kind_differs(prefixes: tuple[str, ...], others: bool = False) -> Guard:
    def guard(_: ParsedQuestion, __: ParsedQuestion, alignment: Alignment) -> bool:
        kinds = [shared_kind(a.word, b.word) for a in alignment.left for b in alignment.right]
        return any(kind and (kind.startswith(prefixes) != others) for kind in kinds)

    return guard


def _antonyms(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    ours = {t.word for t in alignment.left} | (alignment.left_words - {t.word for t in first.content})
    theirs = {t.word for t in alignment.right} | (alignment.right_words - {t.word for t in second.content})
    return any(are_opposites(a, b) for a in ours for b in theirs)


def _names_differ(_: ParsedQuestion, __: ParsedQuestion, alignment: Alignment) -> bool:
    ours = [token for token in alignment.left if token.name]
    theirs = [token for token in alignment.right if token.name]
    return bool(ours) and bool(theirs)


def _asks_differ(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    asked = {first.asks, second.asks}
    if asked == {"how long", "how many"} and SPANS & {*first.words} & {*second.words}:
        return False  # "how many days of leave", "how many leave days"
    definite = asked <= _DEFINITE or (asked & _MEASURES and asked & _UNMEASURED)
    if definite and len(asked) == 2 and asked != {"when", "how long"}:  # "when do I get it", "how long until I get it"
        return True
    alone = not alignment.left and not alignment.right
    return alone and asked in _ALONE  # "how do cats purr" and "why do cats purr"


_DEFINITE = frozenset(
    ("who", "when", "where", "why", "how much", "how many", "how long", "how old", "how often", "how far", "how tall",
     "how big", "how fast", "how deep")
)  # fmt: skip
_MEASURES = frozenset(each for each in _DEFINITE if each.startswith("how "))
_ALONE = tuple(frozenset(pair.split("/")) for pair in "how/when how/why what/where what/when".split())
_UNMEASURED = frozenset(("how", "polar"))  # "what" isn't here: it may ask for a quantity ("what is the price")


def exchange(alignment: Alignment, similarity: float) -> str | None:
    """Refuse a question that adds one or two words, or replaces them by words that are not known synonyms.

    A replacement outside the lexicon may be a synonym ("stain", "spot") or another thing ("mitosis", "meiosis"); an
    added word may be redundant or narrow the question ("for students"). If all other words are the same, only a
    very high cosine is evidence for the former; people who rephrase a question change more of it.
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


_MOST_EXCHANGED = 2  # content words on one side; if more differ, the model has enough evidence
_REPHRASED = 3  # other differing words; from this many on, the question counts as rephrased
_CLOSE_WHERE_EXCHANGED, _CLOSE_WHERE_ADDED, _CLOSE_WHERE_REPHRASED = 0.95, 0.93, 0.82  # cosine


def exchange_of_function_words(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> str | None:
    """Refuse questions that differ only in quantifier, tense or modality."""
    ours, theirs = alignment.left_words, alignment.right_words

    def exchanged(one: str, other: str) -> bool:
        return alignment.exchanges(word_class(one), word_class(other))

    one_sided = bool(ours & word_class("only")) != bool(theirs & word_class("only"))
    if one_sided or exchanged("all", "part") or exchanged("most", "some"):
        return "quantifiers_differ"
    if tense_differs(first, second, alignment):
        return "tense_differs"
    if {first.asks, second.asks} <= {"polar", ""} and any(exchanged(*each) for each in _MODALITIES):
        return "modality_differs"
    return None


_MODALITIES = tuple(itertools.combinations(("modal_ability", "modal_duty", "modal_advice"), 2))


_GUARDS = (
    ("code_differs", code_differs),
    ("numbers_differ", _numbers_differ),
    ("numbers_differ", _parts_of_numbers_swapped),
    ("units_differ", _kind_differs(("unit",))),
    ("dates_differ", _kind_differs(("date",))),
    ("negation_differs", _negation_differs),
    ("antonyms", _antonyms),
    ("names_differ", _kind_differs(("unit", "date"), others=True)),
    ("names_differ", _names_differ),
    ("asks_differ", _asks_differ),
    ("roles_swapped", roles_swapped),
    ("directions_differ", directions_differ),
    ("directions_differ", persons_differ),
)
_CONTRADICTIONS = (
    ("numbers_differ", _numbers_exchanged),
    *[each for each in _GUARDS if each[0] in ("units_differ", "dates_differ", "negation_differs", "antonyms")],
)
