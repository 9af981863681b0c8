"""Metadata: what a document or a question says about itself beside its text, as columns of the tables hold it.

Every field is a list of texts, so that `version: 2` and `version: [1, 2]` are queried and filtered alike. Names are in
lower case with "_" for blanks. Nested values are JSON, and a link loses its credentials: analysts and visitors see it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice

from rag.credentials import link_without_credentials
from rag.text.decoding import tidy

Metadata = dict[str, list[str]]

MOST_FIELDS, LONGEST_VALUE = 64, 1_000
_MOST_VALUES, _LONGEST_NAME = 64, 100
_LINK = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://\S+\s*\Z")
_BLANKS = re.compile(r"\s+")


def metadata_of(fields: Mapping[str, object], kept: Collection[str] = ()) -> Metadata:
    """Return fields as metadata: those of a field `metadata` beside the others, empty ones left out, the rest cut.

    Those that are `kept` are not among the ones that are cut: without its audience a document would be for everybody.
    """
    found: Metadata = {}
    for name, value in _flat(fields):
        values = [text[:LONGEST_VALUE] for text in islice(_texts(value), _MOST_VALUES)]
        if values and name and (name in found or name in kept or len(found) < MOST_FIELDS):
            found[name] = values
    return found


def what_was_cut(fields: Mapping[str, object]) -> str:
    """Return a sentence that says what metadata leaves out of fields, or ""."""
    given = {name: list(_texts(value)) for name, value in _flat(fields) if name}
    given = {name: values for name, values in given.items() if values}
    parts = []
    if more := len(given) - MOST_FIELDS:
        parts += [f"{more:,} fields (at most {MOST_FIELDS} are kept)"] if more > 0 else []
    if long := [name for name, values in given.items() if any(len(value) > LONGEST_VALUE for value in values)]:
        parts.append(f"the ends of {', '.join(long[:3])} (at most {LONGEST_VALUE:,} characters are kept)")
    if many := [name for name, values in given.items() if len(values) > _MOST_VALUES]:
        parts.append(f"values of {', '.join(many[:3])} (at most {_MOST_VALUES} are kept)")
    return f"its metadata lacks {' and '.join(parts)}" if parts else ""


def _flat(fields: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield names and values; an object called `metadata`, as exports have it, is taken apart first."""
    for name, value in fields.items():
        if name == "metadata" and isinstance(value, Mapping):
            yield from ((_name(inner), each) for inner, each in value.items())
    for name, value in fields.items():
        if not (name == "metadata" and isinstance(value, Mapping)):
            yield _name(name), value


def _name(name: object) -> str:
    return _BLANKS.sub("_", tidy(str(name)).strip().lower())[:_LONGEST_NAME]


def _texts(value: object) -> Iterator[str]:
    """Yield the values of a field as texts; empty ones are left out."""
    for each in value if isinstance(value, list | tuple) else [value]:
        text = _text(each).strip()
        if text:
            yield text


def _text(value: object) -> str:
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping) or (isinstance(value, Iterable) and not isinstance(value, str)):
        return tidy(json.dumps(value, ensure_ascii=False, default=str))
    text = tidy(str(value))
    return link_without_credentials(text) if _LINK.match(text) else text
