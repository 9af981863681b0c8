"""The rows of an index by their marks, to search among those alone that fit a question.

A filter that is applied to what was found loses recall: of 40 candidates none may be of the right version. So the rows
that fit are chosen first, and the index searches among them. Rows with the same marks are a group: a question is
compared with each group once, and the mask of rows is kept for the next question with the same filters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexUnusableError
from rag.filters import Filters, Marks, as_marks, fits

Mask = NDArray[np.bool_]
_MOST_MASKS = 16  # a byte for each row; a service sees few combinations of values


class RowGroups:
    """The marks of an index's rows; row i belongs to group `rows[i]`, `fields` are the declared ones."""

    def __init__(self, fields: Sequence[str], marks: Sequence[Marks], rows: NDArray[np.int32]) -> None:
        self.fields = tuple(fields)
        self._marks = marks
        self._rows = rows
        self._masks: dict[tuple[str, Filters], Mask] = {}

    @classmethod
    def build(cls, fields: Sequence[str], marks: Sequence[Marks]) -> RowGroups:
        """Group the rows of an index, given the marks of each."""
        group = {each: number for number, each in enumerate(sorted(set(marks)))}
        return cls(fields, list(group), np.array([group[each] for each in marks], np.int32))

    def save(self, stem: Path) -> None:
        """Write `<stem>.groups.json` and `<stem>.groups.npy`."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        described = {"fields": self.fields, "marks": self._marks}
        stem.with_suffix(".groups.json").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
        np.save(stem.with_suffix(".groups.npy"), self._rows)

    @classmethod
    def load(cls, stem: Path, rows: int) -> RowGroups | None:
        """Read what `save` wrote for an index of so many rows; None where the collection declared no fields.

        Raises:
            IndexUnusableError: a file is missing or torn, or belongs to another index.
        """
        described, groups = stem.with_suffix(".groups.json"), stem.with_suffix(".groups.npy")
        if not described.exists() and not groups.exists():
            return None
        try:
            found = json.loads(described.read_text(encoding="utf-8"))
            marks = [tuple((str(field), tuple(map(str, values))) for field, values in each) for each in found["marks"]]
            numbers = np.load(groups, mmap_mode="r")
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise IndexUnusableError(f"{described}: can't be read ({error}); build the release again") from error
        if numbers.shape != (rows,) or numbers.max(initial=-1) >= len(marks):
            raise IndexUnusableError(f"{described}: it is not that of the index beside it; build the release again")
        return cls([str(each) for each in found["fields"]], marks, numbers)

    def fitting(self, filters: Filters) -> Mask | None:
        """Return which rows fit a question with these filters; None where all do."""
        return self._mask("fitting", filters, lambda marks: fits(marks, filters))

    def equal(self, filters: Filters) -> Mask | None:
        """Return which rows have these very filters; None where all do."""
        return self._mask("equal", filters, as_marks(filters).__eq__)

    def _mask(self, kind: str, filters: Filters, allows: Callable[[Marks], bool]) -> Mask | None:
        mask = self._masks.get((kind, filters))
        if mask is None:
            mask = np.array([allows(each) for each in self._marks], np.bool_)[self._rows]
            if len(self._masks) >= _MOST_MASKS:
                self._masks = {}  # threads share the old one, which nobody changes any more
            self._masks[kind, filters] = mask
        return None if mask.all() else mask
