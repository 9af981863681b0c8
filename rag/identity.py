"""Who is who: hashes that stay the same across runs, machines and releases.

`query_key` names a question within its collection, `fingerprint` names everything that determines an
answer. Both are 128 bits of SHA-256 in hexadecimal over a canonical JSON list, so that no two different
inputs can be joined into the same bytes. At a thousand million keys the chance of a collision is 1e-21.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence

# What may close a question and says nothing about its meaning. "#", "+", "%" and brackets are not here:
# "C#" and "C" are different questions. Marks that pause count only where they lean on a word: in
# "what is ...?" and "what is :?" they are what is asked about, and the two must not share an answer.
_ENDING = "?!\u061f\u3002\u0964\u055e"
_PAUSING = ".,;:\u061b"
_OPENING = "\u00bf\u00a1"
_CLOSING = re.compile(rf"[{_ENDING} ]+$|(?<=[^{_PAUSING}{_ENDING} ])[{_PAUSING}]+$")


def stable_hash(*parts: object) -> str:
    """Hash JSON-representable parts to 32 hexadecimal digits; order and boundaries matter."""
    canonical = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def content_hash(text: str) -> str:
    """Hash a text as it is."""
    return stable_hash(text)


def normalise(question: str) -> str:
    """Reduce a question to what two askings of it share: NFKC, case folding, white space, closing marks.

    Idempotent. May return "" (a question of punctuation alone), which callers refuse.
    """
    text, previous = question, None
    while text != previous:  # case folding can undo NFKC (and stripping can expose more to fold)
        previous = text
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = _CLOSING.sub("", " ".join(_visible(folded).split())).lstrip(_OPENING + " ")
    return text if text.strip(_OPENING + _PAUSING + _ENDING + " ") else ""


def _visible(text: str) -> str:
    """Drop control and format characters; a printable text, the common case, has none (100 µs saved)."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\t\n\r\x0b\x0c" or unicodedata.category(c)[0] != "C")


def query_key(collection: str, question: str) -> str:
    """Name a question within its collection. Two collections never share a key."""
    return stable_hash("query", collection, normalise(question))


def template_id(template: str) -> str:
    """Name a prompt template by its text."""
    return stable_hash("template", template)


def fingerprint(
    *,
    query_key: str,
    passages: Sequence[str],
    template: str,
    model: str,
    sampling: dict[str, object],
) -> str:
    """Name all that determines an answer; the same fingerprint is never generated twice.

    `passages` are the content hashes in the order in which the prompt shows them, `template` is a
    `template_id`, `model` names the weights and their revision, `sampling` holds the parameters.
    """
    return stable_hash("fingerprint", query_key, list(passages), template, model, sampling)
