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
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring

from rag.filters import Filters

UNPINNED = "unpinned"
"""Stands for the revision of a model that has none."""

# Punctuation that may end a question without changing its meaning. "#", "+", "%" and brackets are not included:
# "C#" and "C" are different questions. Pausing marks are dropped only directly after a word: "what is ...?" and
# "what is :?" ask about the marks themselves and must not share an answer.
_ENDING = "?!\u061f\u3002\u0964\u055e"
_PAUSING = ".,;:\u061b"
_OPENING = "\u00bf\u00a1"
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
    """Return the canonical form of a question: NFKC, case-folded, single spaces, no closing punctuation.

    Idempotent. Returns "" for a question of punctuation alone, which callers refuse.
    """
    text, previous = question, None
    while text != previous:  # case folding can undo NFKC, and stripping can expose more to fold
        previous = text
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = _CLOSING.sub("", " ".join(_visible(folded).split())).lstrip(_OPENING + " ")
    return text if text.strip(_OPENING + _PAUSING + _ENDING + " ") else ""


def _visible(text: str) -> str:
    """Drop control and format characters; a printable text, the usual case, has none, which saves 100 µs."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\t\n\r\x0b\x0c" or unicodedata.category(c)[0] != "C")


def query_key(collection: str, question: str, filters: Filters = ()) -> str:
    """Return the key of a question within its collection; two collections, or two sets of filters, never share one."""
    if filters:
        return stable_hash("query", collection, normalise(question), filters)
    # what `stable_hash` makes of these parts, without an encoder for each: an exact hit pays for it
    return _hash_of(f'["query",{encode_basestring(collection)},{encode_basestring(normalise(question))}]')


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
