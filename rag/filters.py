"""Filters: the values that a question carries, and whether a document fits them.

A collection declares fields, such as `version` and `audience`. A document fits a question if for each of them it has
no value, or the question has one of its values. That is a hard condition, in the batch and online: a question without
a value never gets a document that has one, so forgetting to pass filters on shows less, never more.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Filters = tuple[tuple[str, str], ...]
"""A question's values by field, in alphabetical order; empty without any."""

Marks = tuple[tuple[str, tuple[str, ...]], ...]
"""A document's values by field, in alphabetical order, without the fields in which it has none."""

_BETWEEN = ";"  # between several values in one cell, as between the documents of a curated pair


def field_name(name: str) -> str:
    """Return the name of a field as metadata has it: lower case, blanks as `_`."""
    return "_".join(name.lower().split())


def normal_value(value: str) -> str:
    """Return a value as values are compared: case-folded, with single blanks and none around it. Idempotent."""
    text, previous = value, None
    while text != previous:  # case folding can undo NFKC
        text, previous = " ".join(unicodedata.normalize("NFKC", text).casefold().split()), text
    return text


def marks_of(fields: Collection[str], metadata: Mapping[str, Sequence[str]]) -> Marks:
    """Return the marks of a document; a text with `;` in it holds several values."""
    found = {field: [part for text in metadata.get(field) or () for part in text.split(_BETWEEN)] for field in fields}
    values = {field: {normal_value(each) for each in texts} - {""} for field, texts in found.items()}
    return tuple((field, tuple(sorted(values[field]))) for field in sorted(values) if values[field])


def as_marks(filters: Filters) -> Marks:
    """Return a question's filters as marks, to be compared with others' filters."""
    return tuple((field, (value,)) for field, value in filters)


def fits(marks: Marks, filters: Filters) -> bool:
    """Whether what has these marks may be shown to a question with these filters."""
    asked = dict(filters)
    return all(asked.get(field) in values for field, values in marks)


def filters_from(values: Mapping[str, str] | None) -> Filters:
    """Return the filters that a table or a JSON object holds; None is what older ones hold."""
    return tuple(sorted(values.items())) if values else ()


@dataclass(frozen=True)
class Filtering:
    """What a collection declares: its fields, the values of a question that has none, and the fields of keys alone.

    `key_fields` can be set by an API key and by the team's own lists, never by a request.
    """

    fields: tuple[str, ...] = ()
    defaults: Filters = ()
    key_fields: frozenset[str] = frozenset()

    def of(self, given: Mapping[str, str]) -> Filters:
        """Return the filters of a question with these values; fields that are not declared are left out."""
        if not self.fields:
            return ()
        values = {field: normal_value(given[field]) for field in self.fields if field in given}
        return tuple(sorted({**dict(self.defaults), **{f: v for f, v in values.items() if v}}.items()))

    def of_document(self, marks: Marks) -> Filters:
        """Return the filters of a question about a document: its values; of several the default, or else the first."""
        standard = dict(self.defaults)
        own = {field: standard[field] if standard.get(field) in values else values[0] for field, values in marks}
        return self.of(own)


NO_FILTERING = Filtering()
