"""What a team says about a question beside its text: weight, tags, expected texts, owner, further columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from batch.questions.validity import VALID_UNTIL
from batch.reading.metadata import Metadata, metadata_of
from rag.errors import QuestionError
from rag.filters import NO_FILTERING, Filtering, Filters
from rag.text.decoding import tidy
from rag.text.table_files import Row

ATTRIBUTE_COLUMNS = ("weight", "tags", "expected", "owner", "variants")
_MOST_TAGS, _LONGEST_TAG, _LONGEST_OWNER, _LONGEST_EXPECTED = 64, 100, 200, 20_000
_TEXTS = frozenset((*ATTRIBUTE_COLUMNS, "answer"))
A = TypeVar("A", bound="Attributes")
_BETWEEN_TAGS = re.compile(r"[;,\n]")
_BETWEEN_VARIANTS = re.compile(r"[;|\n]")


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """The attributes of a question.

    `weight` is what it is worth beside others, `expected` texts that its answer must contain, one a line, `filters` the
    values that it is asked with, `variants` its other wordings. Questions with one `answer_name` want one answer.
    """

    weight: float = 1.0
    tags: list[str] = field(default_factory=list)
    expected: str = ""
    owner: str = ""
    metadata: Metadata = field(default_factory=dict)
    filters: Filters = ()
    variants: tuple[str, ...] = ()
    answer_name: str = ""


def attributes_of(row: Row, filtering: Filtering = NO_FILTERING) -> Attributes:
    """Return the attributes that a row gives a question.

    Raises:
        QuestionError: its weight is no number, a text is too long or an object, or a filter has several values.
    """
    for name, value in (*row.values.items(), ("answer", row.others.get("answer"))):
        if name in _TEXTS and _holds_objects(value):
            raise QuestionError(f"the column {name!r} holds an object: write a text or a list of texts")
    expected = "\n".join(_texts(row.values.get("expected")))
    owner = " ".join(" ".join(_texts(row.values.get("owner"))).split())
    if len(expected) > _LONGEST_EXPECTED:
        raise QuestionError(f"its expected text is too long (at most {_LONGEST_EXPECTED:,} characters)")
    if len(owner) > _LONGEST_OWNER:
        raise QuestionError(f"its owner is too long (at most {_LONGEST_OWNER} characters)")
    return Attributes(
        weight=_weight(row.values.get("weight")),
        tags=_tags(row.values.get("tags")),
        expected=expected,
        owner=owner,
        metadata=metadata_of(row.others, filtering.fields),
        filters=_filters(row, filtering),
        variants=_variants(row.values.get("variants")),
        answer_name=" ".join(" ".join(_texts(row.others.get("answer"))).split()),
    )


def with_attributes(asked: A, of: Attributes) -> A:
    """Return a question with the attributes of another."""
    given = {each.name: getattr(of, each.name) for each in fields(Attributes)}
    return replace(asked, **given)


def completed(asked: A, others: Iterable[Attributes]) -> A:
    """Return a question with what it lacks itself and others that ask the same have, the first of them first.

    Until when a curated answer holds is said of that answer alone.
    """
    for other in others:
        metadata = {name: values for name, values in other.metadata.items() if name != VALID_UNTIL}
        asked = replace(
            asked,
            weight=other.weight if asked.weight == 1 else asked.weight,
            tags=asked.tags or other.tags,
            expected=asked.expected or other.expected,
            owner=asked.owner or other.owner,
            metadata={**metadata, **asked.metadata},
        )
    return asked


def _filters(row: Row, filtering: Filtering) -> Filters:
    """Return the values that a question is asked with; each field has one, and several rows ask it with several."""
    given: dict[str, str] = {}
    for name, values in metadata_of(row.others, filtering.fields).items():
        if name in filtering.fields:
            if len(parts := [part for value in values for part in value.split(";") if part.strip()]) > 1:
                raise QuestionError(f"it has several values of {name} ({', '.join(parts)[:80]}): write a row for each")
            given[name] = parts[0] if parts else ""
    return filtering.of(given)


def _weight(value: object) -> float:
    """Return a weight, 1 where none is given; a comma may stand for the point."""
    if value is None:
        return 1.0
    text = str(value).strip()
    try:
        weight = float(re.sub(r"\A(\d+),(\d+)\Z", r"\1.\2", text))
    except ValueError:
        weight = math.nan
    if isinstance(value, bool) or not math.isfinite(weight) or weight < 0:
        raise QuestionError(f"its weight is {text[:40]!r}: write a number that is not negative")
    return weight


def _tags(value: object) -> list[str]:
    """Return tags, each once: a list, or a text with ";" or "," between them."""
    found = [
        part for text in _texts(value) for part in ([text] if isinstance(value, list) else _BETWEEN_TAGS.split(text))
    ]
    tidied = (" ".join(part.split())[:_LONGEST_TAG] for part in found)
    return list(dict.fromkeys(filter(None, tidied)))[:_MOST_TAGS]


def _variants(value: object) -> tuple[str, ...]:
    """Return other wordings, each once: a list, or a text with ";" or "|" between them."""
    texts = _texts(value)
    found = texts if isinstance(value, list) else [part for text in texts for part in _BETWEEN_VARIANTS.split(text)]
    return tuple(dict.fromkeys(tidied for each in found if (tidied := " ".join(each.split()))))


def _holds_objects(value: object) -> bool:
    """Whether a value of JSON that stands for texts is an object, or a list with an object or a list in it."""
    return isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value)
    )


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for each in values if each is not None and (text := tidy(str(each)).strip())]
