"""What a document says about itself before its text: front matter (YAML, TOML) and header fields.

Fields are kept as plain values, as deep and as many as a person writes: whatever else YAML can build (aliases that
multiply, a thousand levels) is cut off. Scalars of YAML are kept as they are written: `version: 1.10` is no number, and
`country: no` no truth value.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterable, Mapping
from itertools import islice

import yaml

from rag.text.decoding import tidy

_FRONT_MATTER = re.compile(r"\A\s*(---|\+\+\+)[ \t]*\n(.*?\n)?(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_SIMPLE_FIELD = re.compile(r"^([A-Za-z][\w-]*)\s*[:=]\s*(.*?)\s*$", re.MULTILINE)
_HEADER_FIELD = re.compile(r"([A-Z][\w-]*):(?:[ \t]+(.*))?$")
_LONGEST = 100_000  # characters of front matter
_DEEPEST, _MOST, _LONGEST_VALUE = 4, 50, 10_000
_MOST_FIELDS = 1_000
_EMPTY = ("~", "null", "Null", "NULL")


def split_front_matter(text: str) -> tuple[dict[str, object], str]:
    """Return the fields of a document's front matter, names in lower case, and the text after it."""
    found = _FRONT_MATTER.match(text)
    if not found or len(found.group(2) or "") > _LONGEST:
        return {}, text
    inside = found.group(2) or ""
    fields = _toml(inside) if found.group(1) == "+++" else _yaml(inside)
    if fields is None:  # two rules with text between them
        return {}, text
    return plain_fields(fields), text[found.end() :]


def split_header_fields(text: str, required: str = "") -> tuple[dict[str, object], str]:
    """Return the fields of a header like that of a mail or a PEP, and the text after it.

    A header has two fields at least (a `required` one among them) and ends with a blank line.
    """
    lines = text.lstrip("\n").split("\n")
    fields: dict[str, str] = {}
    name, end = "", len(lines)
    for number, line in enumerate(lines):
        field = _HEADER_FIELD.match(line)
        if field:
            name = field.group(1).lower()
            fields[name] = (field.group(2) or "").strip()
        elif line[:1] in {" ", "\t"} and line.strip() and name:
            fields[name] = f"{fields[name]} {line.strip()}".strip()
        elif line.strip():
            return {}, text
        else:
            end = number
            break
    if len(fields) < 2 or (required and required not in fields):
        return {}, text
    return plain_fields(fields), "\n".join(lines[end:])


def plain_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return fields with their names in lower case and plain values; empty ones are left out."""
    plain = {str(name).strip().lower(): _plain(value, 1) for name, value in islice(fields.items(), _MOST_FIELDS)}
    return {name: value for name, value in plain.items() if value not in (None, "", [], {})}


def text_field(fields: Mapping[str, object], *names: str) -> str:
    """Return the first of the named fields that holds text, on one line; "" where none does."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            return " ".join(str(value).split())
    return ""


def _yaml(text: str) -> Mapping[str, object] | None:
    try:
        value = yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError):
        return _simple(text)
    if value is None and not text.strip():
        return {}
    if not isinstance(value, dict):
        return None
    return {name: each for name, each in value.items() if each not in _EMPTY}


def _toml(text: str) -> Mapping[str, object] | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return _simple(text)


def _simple(text: str) -> Mapping[str, object] | None:
    """Return the fields of front matter that is not quite YAML (a template in it, a colon in a title)."""
    found = {name: value.strip("\"'") for name, value in _SIMPLE_FIELD.findall(text)}
    return found or None


def _plain(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, str):
        return tidy(value[:_LONGEST_VALUE]).strip()
    return _nested(value, depth) if depth < _DEEPEST else None


def _nested(value: object, depth: int) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(each, depth + 1) for name, each in islice(value.items(), _MOST)}
    if isinstance(value, Iterable):
        return [_plain(each, depth + 1) for each in islice(value, _MOST)]
    return tidy(str(value)[:_LONGEST_VALUE])
