"""The filters of a question: what its request names, what its API key fixes, and the collection's defaults.

What a key fixes can't be overridden, and fields that belong to keys can't be named by a request: otherwise anybody who
may ask could choose the audience `hr`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from online.errors import Problem
from rag.filters import Filtering, Filters, normal_value

Named = Mapping[str, str | int | float]


@dataclass(frozen=True)
class AllowedFilters:
    """The filters of one collection that a caller may choose; `fixed` are those of its key."""

    filtering: Filtering
    fixed: Mapping[str, str]
    standard: Filters

    @classmethod
    def of(cls, filtering: Filtering, fixed: Mapping[str, str]) -> AllowedFilters:
        """Return what a key with these filters may choose."""
        own = {field: value for field, value in fixed.items() if field in filtering.fields}
        return cls(filtering, own, filtering.of(own))

    def of_request(self, named: Named | None) -> Filters:
        """Return the filters of a question whose request names these values.

        Raises:
            Problem: it names a field that is not declared, or a value that is not its to choose.
        """
        if not named:
            return self.standard
        return self.filtering.of(
            {**{field: self._value(field, str(value)) for field, value in named.items()}, **self.fixed}
        )

    def _value(self, field: str, text: str) -> str:
        if field not in self.filtering.fields:
            raise undeclared(field, self.filtering)
        value = normal_value(text)
        if not value:
            raise Problem("invalid", f"The filter {field!r} has no value; leave it out or name one.", param="filters")
        fixed = self.fixed.get(field)
        if value != fixed and (fixed is not None or field in self.filtering.key_fields):
            detail = f"The API key fixes the filter {field!r} to {fixed!r}; leave it out, or use another key."
            if fixed is None:
                detail = f"Only an API key sets the filter {field!r}; leave it out, or use a key that has it."
            raise Problem("forbidden", detail, param="filters", code="filter_fixed")
        return value


def undeclared(field: str, filtering: Filtering) -> Problem:
    """Return the problem of a request that names a field which the collection does not declare."""
    declared = f"its filters are {', '.join(filtering.fields)}" if filtering.fields else "it has no filters"
    return Problem("invalid", f"The collection does not declare the filter {field!r}; {declared}.", param="filters")
