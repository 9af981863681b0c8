"""What words mean to each other: opposites, members of one kind, synonyms, and classes of function words.

Encoders place "enable" near "disable" and "Python" near "Ruby" because they occur in the same contexts. So this
knowledge is written by hand, in `word_lists/*.txt`: no set of labelled pairs is large enough to cover every opposite.
The lists are English; for other languages only the general guards apply (numbers, changed content words). A
changed word that is not listed is refused by `rag.paraphrase.guards` unless the questions are very close.
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import Stemmer

_FOLDER = Path(__file__).parent / "word_lists"
_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "de", "mis", "anti", "counter")
_PREFIX_PAIRS = (
    ("pre", "post"), ("over", "under"), ("in", "out"), ("up", "down"), ("inter", "intra"), ("hyper", "hypo"),
    ("macro", "micro"), ("mono", "poly"), ("maxi", "mini"), ("on", "off"), ("im", "ex"), ("in", "ex"),
    ("up", "off"), ("fore", "back"), ("endo", "exo"), ("homo", "hetero"), ("multi", "single"), ("im", "e"),
    ("en", "de"), ("in", "de"), ("pro", "anti"), ("sub", "super"), ("hemi", "full"), ("front", "back"),
)  # fmt: skip
_SUFFIX_PAIRS = (("ful", "less"), ("er", "ee"), ("or", "ee"), ("ed", "less"), ("ee", "er"))
IRREGULAR_FORMS = dict(
    pair.split(":")
    for pair in (
        "bought:buy sold:sell went:go gone:go paid:pay sent:send wrote:write written:write made:make lost:lose "
        "won:win built:build chose:choose chosen:choose found:find kept:keep got:get gotten:get ate:eat "
        "eaten:eat drank:drink drunk:drink ran:run began:begin begun:begin broke:break broken:break forgot:forget "
        "forgotten:forget hid:hide hidden:hide stole:steal stolen:steal took:take taken:take spoke:speak "
        "spoken:speak taught:teach thought:think children:child men:man women:woman feet:foot teeth:tooth mice:mouse "
        "people:person wives:wife lives:life grew:grow grown:grow knew:know known:know gave:give given:give came:come "
        "saw:see seen:see said:say told:tell felt:feel met:meet led:lead fell:fall fallen:fall rose:rise risen:rise "
        "drove:drive driven:drive flew:fly flown:fly became:become wore:wear worn:wear held:hold slept:sleep "
        "spent:spend lent:lend heard:hear meant:mean understood:understand caught:catch fought:fight sought:seek "
        "dying:die lying:lie died:die tried:try data:data media:media"
    ).split()
)
BASE_FORMS = frozenset(IRREGULAR_FORMS.values())
FORMS_OF_BE = frozenset(("is", "are", "was", "were", "be", "been", "being"))
_SHORTEST_STEM = 3  # letters that must remain for a prefix or suffix rule to apply


@dataclass(frozen=True)
class Lexicon:
    """The parsed word lists; words are in lower case, phrases joined by "_"."""

    opposites: dict[str, frozenset[str]]
    opposite_stems: dict[str, frozenset[str]]
    kinds: dict[str, tuple[tuple[str, str], ...]]
    synonyms: dict[str, frozenset[int]]
    word_classes: dict[str, frozenset[str]]
    phrases: dict[str, tuple[tuple[str, ...], ...]]


_stemmer = Stemmer.Stemmer("english")


@functools.lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Reduce a word to its stem (Snowball, English)."""
    return str(_stemmer.stemWord(word))


@functools.cache
def lexicon() -> Lexicon:
    """Return the word lists, read once per process."""
    synonyms = _synonyms()
    kinds = _kinds()
    opposites = _opposites()
    phrases: dict[str, list[tuple[str, ...]]] = {}
    word_classes = {name: frozenset(words.split()) for name, words in _entries("word_classes.txt")}
    for word in {*synonyms, *kinds, *opposites, *(word for words in word_classes.values() for word in words)}:
        if "_" in word:
            parts = tuple(word.split("_"))
            phrases.setdefault(parts[0], []).append(parts)
    return Lexicon(
        opposites=opposites,
        opposite_stems=_stems(opposites),
        kinds=_with_demonyms(kinds, synonyms),
        synonyms=synonyms,
        word_classes=word_classes,
        phrases={first: tuple(sorted(each, key=len, reverse=True)) for first, each in phrases.items()},
    )


@functools.cache
def english_words() -> frozenset[str]:
    """Return 73,000 English words in lower case, to tell a misspelling from another word (20 ms, once)."""
    return frozenset(gzip.decompress((_FOLDER / "english_words.txt.gz").read_bytes()).decode().split())


@functools.cache
def other_names() -> dict[str, str]:
    """Return what things are also called, with the usual name: "parcel" for a package (`one_name.txt`)."""
    return {
        other.replace("_", " "): usual.replace("_", " ")
        for usual, others in _entries("one_name.txt")
        for other in others.split()
    }


@functools.cache
def conditions() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Return the classes of conditions by the words that add them to a question, and by those that name them."""
    lines = [(kind, *words.split("|")) for kind, words in _entries("conditions.txt")]
    return (
        _by_word((kind, adding) for kind, adding, *_ in lines),
        _by_word((kind, words) for kind, *sides in lines for words in sides),
    )


def _by_word(lines: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for kind, words in lines:
        for word in words.split():
            for form in (word, word + "s"):
                found.setdefault(form, set()).add(kind)
    return {word: frozenset(kinds) for word, kinds in found.items()}


def word_class(name: str) -> frozenset[str]:
    """Return the words of a class, such as "function" or "negation"; the classes are in `word_classes.txt`."""
    return lexicon().word_classes[name]


def _lines(name: str) -> Iterator[str]:
    for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _entries(name: str) -> Iterator[tuple[str, str]]:
    for line in _lines(name):
        head, _, rest = line.partition(":")
        yield head.strip(), rest.strip()


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _lines("antonyms.txt"):
        left, right = (side.split() for side in line.split("|"))
        for one in left:
            for other in right:
                found.setdefault(one, set()).add(other)
                found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


def _stems(opposites: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for word, others in opposites.items():
        found.setdefault(stem(word), set()).update(map(stem, others))
    return {word: frozenset(others) for word, others in found.items()}


def _kinds() -> dict[str, tuple[tuple[str, str], ...]]:
    """Map a word to its (kind, member) pairs; different members of one kind are exchanged names."""
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, members in _entries("kinds.txt"):
        for member in members.split():
            for word in member.split("/"):
                for form in {word, stem(word)}:
                    found.setdefault(form, []).append((kind, member))
    return {word: tuple(each) for word, each in found.items()}


def _synonyms() -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, line in enumerate(_lines("synonyms.txt")):
        for word in line.split():
            for form in {word, stem(word)}:
                found.setdefault(form, set()).add(number)
    return {word: frozenset(groups) for word, groups in found.items()}


def _with_demonyms(
    kinds: dict[str, tuple[tuple[str, str], ...]], synonyms: dict[str, frozenset[int]]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Add demonyms to the kinds of their places: "Indian" counts as a country, as "India" does."""
    places = {w: k for w, pairs in kinds.items() for k in pairs if k[0] in ("country", "continent", "city")}
    by_group = {group: place for word, place in places.items() for group in synonyms.get(word, ())}
    extended = dict(kinds)
    for word, groups in synonyms.items():
        if word not in kinds and (place := next((by_group[g] for g in groups if g in by_group), None)):
            extended[word] = (place,)
    return extended


@functools.lru_cache(maxsize=65536)
def are_opposites(one: str, other: str) -> bool:
    """Whether replacing one word by the other reverses a question."""
    if stem(other) in lexicon().opposite_stems.get(stem(one), ()):
        return True
    return _affix_opposites(one, other) or _affix_opposites(other, one)


def _affix_opposites(one: str, other: str) -> bool:
    for prefix in _PREFIXES:
        rest = other.removeprefix(prefix)
        if rest != other and len(rest) >= _SHORTEST_STEM and (rest == one or stem(rest) == stem(one)):
            return True
    for first, second in _PREFIX_PAIRS:
        a, b = one.removeprefix(first), other.removeprefix(second)
        if a != one and b != other and len(a) >= _SHORTEST_STEM and (a == b or stem(a) == stem(b)):
            return True
    for first, second in _SUFFIX_PAIRS:
        a, b = one.removesuffix(first), other.removesuffix(second)
        if a != one and b != other and len(a) >= _SHORTEST_STEM and a == b:
            return True
    return False


@functools.lru_cache(maxsize=65536)
def shared_kind(one: str, other: str) -> str | None:
    """Return the kind that both words belong to as different members, or None."""
    kinds = lexicon().kinds
    first = {*kinds.get(one, ()), *kinds.get(stem(one), ())}
    second = {*kinds.get(other, ()), *kinds.get(stem(other), ())}
    if first & second:
        return None
    return next((kind for kind, _ in sorted(first) if any(kind == k for k, _ in second)), None)


@functools.lru_cache(maxsize=65536)
def meanings(word: str) -> frozenset[int | tuple[str, str]]:
    """Return what a word stands for: its groups of synonyms, and the things that it names. Synonyms share one."""
    words = lexicon()
    groups = words.synonyms.get(word, frozenset()) | words.synonyms.get(stem(word), frozenset())
    return frozenset({*groups, *words.kinds.get(word, ())})
