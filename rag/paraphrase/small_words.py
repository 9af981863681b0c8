"""Small words that tell questions apart whose content words are the same: "when can I pay", "when must I pay".

Only the verifier without labelled pairs minds them. It takes questions with the same content words, so that everything
else that a question can ask for lies in these: what is asked for, modality, tense, verbs such as "get" and "use",
prepositions of place and purpose, persons. A trained verifier and a selector learn how much they matter. Most small
words don't ("the", "some", "what" and "which"); counts on labelled pairs are in docs/semantic-hits.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from rag.paraphrase.lexicon import FORMS_OF_BE, shared_kind, word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion, inversions
from rag.paraphrase.tense import tense

Rule = Callable[[ParsedQuestion, ParsedQuestion, Alignment], bool]


def small_words_differ(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> str | None:
    """Return what the small words of two questions with the same content words change, as a guard's label, or None."""
    return next((label for label, differs in _RULES if differs(first, second, alignment)), None)


def signs(text: str) -> list[str]:
    """Return the signs in a text that are neither letters nor digits nor mere punctuation."""
    return _SIGNS.findall(text.rstrip(" ?.!"))


_SIGNS = re.compile(r"[^\w\s'\"`,.;:?\u2019]")
_OF_CODE = frozenset("\\@#^*=+<>{}[]|~")


def _signs_differ(first: ParsedQuestion, second: ParsedQuestion, _: Alignment) -> bool:
    ours, theirs = (Counter(sign for sign in signs(each.written) if sign in _OF_CODE) for each in (first, second))
    return ours != theirs


def _asks_differ(first: ParsedQuestion, second: ParsedQuestion, _: Alignment) -> bool:
    asked = {first.asks, second.asks}
    if len(asked) == 2 and not (asked & {"what"} and any(each.startswith("how ") for each in asked)):
        bare = next((each for each in (first, second) if not each.asks), None)
        if bare is None:
            return asked not in ({"when", "how long"}, {"how many", "how long"})
        return bool(asked - {"", "how", "what"}) and not _asks_plainly(second if bare is first else first)
    ends = [question.words[-1] for question in (first, second) if question.words]
    does = any(each.words[-1:] == ("do",) and "does" in each.words for each in (first, second))
    return (does and ends.count("do") == 1) or _ends_otherwise(first, second) or _ends_otherwise(second, first)


def _asks_plainly(question: ParsedQuestion) -> bool:
    """Whether nothing is lost without the first word: "is parking free", "parking free"."""
    return question.asks == "polar" and question.words[0] in FORMS_OF_BE | {"do", "does"}


def _ends_otherwise(first: ParsedQuestion, second: ParsedQuestion) -> bool:
    """Whether one asks what something is, the other what it is for or like."""
    return first.words[-1:] in (("for",), ("like",)) and first.words[-1] not in second.words


def _modality_differs(first: ParsedQuestion, second: ParsedQuestion, _: Alignment) -> bool:
    ours, theirs = _modalities(first), _modalities(second)
    if ours == theirs or first.asks in ("how", "why") or _asks_for_advice(first):
        return False
    by_asker = bool(_ASKERS & {*first.words} & {*second.words})
    if ours and theirs:
        return not ours & theirs and (first.asks == "polar" or "modal_ability" in ours | theirs)
    if not by_asker:
        return False
    return first.asks == "polar" or (first.asks.startswith("how ") and "modal_ability" in ours | theirs)


def _asks_for_advice(question: ParsedQuestion) -> bool:
    """Whether a question is "what can I do if ...", which asks for no more than "what should I do"."""
    return question.asks == "what" and question.words[2:4] in (("i", "do"), ("we", "do"), ("you", "do"))


def _modalities(question: ParsedQuestion) -> set[str]:
    return {name for name in ("modal_ability", "modal_duty", "modal_advice") if word_class(name) & {*question.words}}


_ASKERS = frozenset(("i", "we"))


def _tense_differs(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    asks = first.asks
    if asks != "why" and alignment.exchanges({"did"}, {"do", "does"}):
        return True
    if asks not in ("what", "how", "why", "") and alignment.exchanges({"was", "were"}, {"is", "are", "am"}):
        return True
    if asks == "polar" and ("being" in first.words) != ("being" in second.words):
        return True
    tenses = frozenset((tense(first), tense(second)))
    if tenses == {"perfect", "present"}:
        return asks == "polar" and alignment.exchanges({"have", "has"}, {"do", "does"})
    return asks == "polar" and tenses in _OTHER_TENSES


_OTHER_TENSES = tuple(
    frozenset(pair.split("/")) for pair in "past/can past/would past/could perfect/can perfect/would".split()
)


def _either_or_both(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    return alignment.exchanges({"and"}, {"or"}) and not _CHOOSING & {*first.words, *second.words}


_CHOOSING = frozenset(
    "better best rather prefer more between both vs versus difference differences differ compare".split()
)


def _verbs_differ(_: ParsedQuestion, __: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether other things are done to the same things: get, use, make or need them."""
    ours = {verb for word in alignment.left_words if (verb := _VERBS.get(word))}
    theirs = {verb for word in alignment.right_words if (verb := _VERBS.get(word))}
    return bool(ours and theirs) and not any(a == b or frozenset((a, b)) in _SAME_VERBS for a in ours for b in theirs)


_VERBS = {
    form: forms.split()[0]
    for forms in ("get gets getting", "give gives giving", "take takes taking", "make makes making", "need needs",
                  "want wants", "use uses using", "know knows", "go goes going", "come comes", "have has having",
                  "like", "let lets", "update updates updating updated", "upgrade upgrades upgrading upgraded")
    for form in forms.split()
}  # fmt: skip
_SAME_VERBS = frozenset(
    frozenset(pair.split("/")) for pair in "get/have get/take get/go come/go need/want like/want come/get".split()
)


def _prepositions_differ(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    pairs = ((first.content[i], second.content[j].preposition) for i, j in alignment.pairs)
    return any(_apart(token.word, frozenset((token.preposition, other))) for token, other in pairs)


def _apart(word: str, prepositions: frozenset[str]) -> bool:
    if len(prepositions) == 1 or "" in prepositions:
        return False
    if prepositions == {"for", "in"}:
        return shared_kind(word, "second" if word not in ("second", "seconds") else "day") == "unit_time"
    return prepositions in _PURPOSES or (bool(prepositions & _PLACES) and prepositions not in _SAME_PLACES)


_PURPOSES = frozenset(
    frozenset(pair.split("/"))
    for pair in "at/for for/from by/for about/to about/with until/for since/for at/before on/before at/after "
    "on/after about/for by/from".split()
)
_PLACES = frozenset("under behind beside above below inside outside across through around near".split())
_SAME_PLACES = frozenset(
    frozenset(pair.split("/"))
    for pair in "inside/in through/by through/via through/in around/in around/near near/by near/in near/to near/at "
    "across/in below/under through/from under/in".split()
)


def _particles_differ(first: ParsedQuestion, second: ParsedQuestion, _: Alignment) -> bool:
    """Whether one question alone has a particle that makes another verb: "rent", "rent out"; "pay", "pay back"."""
    return bool(_PARTICLES & {*first.words}) != bool(_PARTICLES & {*second.words})


_PARTICLES = frozenset("out off back down away up".split())


def _persons_differ(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    anybody = _ANYBODY & {*first.words, *second.words}
    return (
        (not anybody and alignment.exchanges(_MINE, _OTHERS))
        or alignment.exchanges({"here"}, {"there"})
        or {_part_of_who(first), _part_of_who(second)} == {"actor", "object"}
    )


_MINE = frozenset("i we me us my our mine ours".split())
_ANYBODY = frozenset("one someone somebody anyone anybody person people".split())
_OTHERS = frozenset("he she they him them his their her theirs".split())


def _part_of_who(question: ParsedQuestion) -> str:
    """Return whether "who" does something or has it done to them ("who called me", "who did I call"), "" if unclear."""
    words = question.words
    at = next((n for n, word in enumerate(words) if word in ("who", "whom")), None)
    if at is None:
        return ""
    after = [word for word in words[at + 1 : at + 4] if word not in ("to", "also", "else")]
    if after and after[0] in word_class("polar") and after[0] not in FORMS_OF_BE | {"am"}:
        after = after[1:]
    if not after or after[0] in FORMS_OF_BE:
        return ""
    return "object" if after[0] in _SUBJECTS else "actor"


_SUBJECTS = frozenset("i we you he she they it my our your the a an".split())


def _order_differs(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment) -> bool:
    """Whether things are done in another order: "pay first and sign later", "sign first and pay later"."""
    ordered = _IN_ORDER & {*first.words} & {*second.words}
    moving = [j for i, j in sorted(alignment.pairs) if first.content[i].word not in _IN_ORDER]
    return bool(ordered) and "and" in first.words and "and" in second.words and inversions(moving) > 0


_IN_ORDER = frozenset("first then later afterwards next".split())
_RULES: tuple[tuple[str, Rule], ...] = (
    ("code_differs", _signs_differ),
    ("asks_differ", _asks_differ),
    ("modality_differs", _modality_differs),
    ("tense_differs", _tense_differs),
    ("quantifiers_differ", _either_or_both),
    ("roles_swapped", _order_differs),
    ("directions_differ", _persons_differ),
    ("directions_differ", _prepositions_differ),
    ("content_differs", _verbs_differ),
    ("content_differs", _particles_differ),
)
