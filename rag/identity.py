"""Stable identities: hashes that are the same across runs, machines and releases.

`query_key` identifies a question within its collection, `fingerprint` everything that determines an answer. Both are
128 bits of SHA-256 in hexadecimal, over a canonical JSON list, so different parts never serialise to the same bytes.
With a billion keys the chance of a collision is 1e-21.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring

from rag.filters import Filters
from rag.text.characters import fold_form, without_format

KEY_FORMAT = 3
"""How keys are made (`normalise`); the keys of a release are of the format that its manifest names, by default 1."""

UNPINNED = "unpinned"
"""Stands for the revision of a model that has none."""

# Punctuation that may end a question without changing its meaning. "#", "+", "%" and brackets are not included:
# "C#" and "C" are different questions. Pausing marks are dropped only directly after a word: "what is ...?" and
# "what is :?" ask about the marks themselves and must not share an answer.
_ENDING = "?!\u061f\u3002\u0964\u055e"
_PAUSING = ".,;:\u061b"
_OPENING = "\u00bf\u00a1"
_QUOTES = dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d\u301e\u301f"), '"')
_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u2039\u203a\u02bc\u2032"), "'")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-")
_INVISIBLE = dict.fromkeys([*range(0xFE00, 0xFE10), 0x034F, 0x115F, 0x1160, 0x3164])
_LOOK_ALIKE_2 = {**_QUOTES, **_APOSTROPHES, **_DASHES, **_INVISIBLE, 0x2026: "...", 0x22EF: "..."}
_TATWEEL, _NEXT_LINE, _ACUTE = 0x640, 0x85, 0xB4  # the first only stretches Arabic words
_LOOK_ALIKE: dict[int, str | None] = {**_LOOK_ALIKE_2, _TATWEEL: None, _NEXT_LINE: " ", _ACUTE: "'"}
_GRAVE = re.compile(r"(?<=\w)`(?=\w)")  # what`s
_FLAG = re.compile(r"((?<![\w-])-[A-Z]\b)")  # -V is not -v
_SHARP_S = "\u00df"
_CLOSING = re.compile(rf"[{_ENDING} ]+$|(?<=[^{_PAUSING}{_ENDING} ])[{_PAUSING}]+$")


def stable_hash(*parts: object) -> str:
    """Return a hash of JSON-representable parts, 32 hexadecimal digits; order and boundaries matter."""
    return _hash_of(json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def _hash_of(canonical: str) -> str:
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def content_hash(text: str) -> str:
    """Return the hash of a text."""
    return stable_hash(text)


def normalise(question: str) -> str:
    """Return the canonical form of a question: lower case, single spaces, no closing punctuation.

    Folded is what only looks different: kinds of quotes, dashes, ellipses and decimal digits, full width, ligatures,
    invisible characters. What tells questions apart is kept: ß and ss, raised and lowered digits, fractions, circled
    numbers, the case of a flag. Idempotent. Returns "" for a question of punctuation alone, which callers refuse.
    """
    return _normalised(question, _folded, _lowered)


def former_normalise(question: str, key_format: int = 1) -> str:
    """Return the canonical form that keys of an earlier format were made of; the first was NFKC, case-folded."""
    return _normalised(question, _all_folded if key_format == 1 else _folded_before, str.lower)


def _normalised(question: str, fold: Callable[[str], str], lower: Callable[[str], str]) -> str:
    text, previous = question, None
    while text != previous:  # case folding can undo normalisation, and stripping can expose more to fold
        if text.isascii() and text.isprintable():  # usually there is little to do, and an exact hit pays for the rest
            plain = " ".join(lower(text).split()).rstrip("?! ")
            if plain[-1:].isalnum():
                return plain
        previous = text
        text = _CLOSING.sub("", " ".join(without_format(fold(text)).split())).lstrip(_OPENING + " ")
    return text if text.strip(_OPENING + _PAUSING + _ENDING + " ") else ""


def _folded(text: str) -> str:
    if text.isascii():
        return _lowered(text)
    alike = unicodedata.normalize("NFC", text.translate(_LOOK_ALIKE))
    plain = "".join(c if c.isascii() else str(unicodedata.decimal(c)) if c.isdecimal() else fold_form(c) for c in alike)
    return unicodedata.normalize("NFC", _lowered(plain))


def _lowered(text: str) -> str:
    if "`" in text:
        text = _GRAVE.sub("'", text)
    if "-" not in text:
        return _without_case(text)
    return "".join(part if place % 2 else _without_case(part) for place, part in enumerate(_FLAG.split(text)))


def _without_case(text: str) -> str:
    if text.isascii():
        return text.lower()
    return _SHARP_S.join(part.casefold() for part in text.replace("\u1e9e", _SHARP_S).split(_SHARP_S))


def _folded_before(text: str) -> str:
    if text.isascii():
        return text.lower()
    alike = unicodedata.normalize("NFC", text.translate(_LOOK_ALIKE_2))
    return unicodedata.normalize("NFC", _without_case("".join(c if c.isascii() else fold_form(c) for c in alike)))


def _all_folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def query_key(collection: str, question: str, filters: Filters = ()) -> str:
    """Return the key of a question within its collection; two collections, or two sets of filters, never share one."""
    if filters:
        return stable_hash("query", collection, normalise(question), filters)
    # what `stable_hash` makes of these parts, without an encoder for each: an exact hit pays for it
    return _hash_of(f'["query",{encode_basestring(collection)},{encode_basestring(normalise(question))}]')


def former_query_key(collection: str, question: str, key_format: int = 1, filters: Filters = ()) -> str:
    """Return the key that a question has in releases of an earlier key format."""
    parts = ("query", collection, former_normalise(question, key_format))
    return stable_hash(*parts, filters) if filters else stable_hash(*parts)


def equivalent_keys(collection: str, question: str, query_key_recorded: str) -> tuple[str, ...]:
    """Return the keys under which a question may be recorded: today's and former ones, the recorded one among them.

    A former key that today belongs to another question (that of "Maße" to "Masse") is not among them unless it is the
    recorded one.
    """
    today, plain = query_key(collection, question), normalise(question)
    formers = {each: former_query_key(collection, question, each) for each in range(1, KEY_FORMAT)}
    if query_key_recorded not in (today, *formers.values()):
        return (query_key_recorded,)
    own = [key for each, key in formers.items() if normalise(former_normalise(question, each)) == plain]
    return tuple(dict.fromkeys((query_key_recorded, today, *own)))


def template_id(template: str) -> str:
    """Return the id of a prompt template, the hash of its text."""
    return stable_hash("template", template)


@dataclass(frozen=True)
class ModelIdentity:
    """A language model: its configured name, and its revision if that is pinned or known."""

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return the model's id, as answers, manifests and fingerprints have it."""
        return f"{self.name}@{self.revision or UNPINNED}"

    def within(self, release: str | None) -> str:
        """Return the id under which a release knows this model; `release` is the id of the release's own model.

        A server says nothing about revisions, and a folder's is known only where the folder is, so a model without one
        is taken for the release's model of the same name.
        """
        name, _, revision = (release or "").rpartition("@")
        same = name in {self.name, self.name.rstrip("/").rpartition("/")[2]}
        return release if release and same and self.revision in (None, revision) else str(self)


def fingerprint(
    *,
    query_key: str,
    passages: Sequence[str],
    template: str,
    model: str,
    sampling: dict[str, object],
) -> str:
    """Return the hash of everything that determines an answer; no fingerprint is generated twice.

    `passages` are content hashes in prompt order, `template` is a `template_id`, `model` is a `ModelIdentity` as text,
    `sampling` holds the sampling parameters.
    """
    return stable_hash("fingerprint", query_key, list(passages), template, model, sampling)
