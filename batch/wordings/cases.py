"""Cases for the judge, exams of it, and what of its word counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch.wordings.prepared_answers import PreparedAnswer

SURE = 0.9
"""From this probability on a yes, and from one minus it down a no, needs no person."""


@dataclass(frozen=True)
class Case:
    """A text beside an answer that might fit."""

    text: str
    answer: PreparedAnswer


@dataclass(frozen=True)
class Exam:
    """Cases of one collection whose right verdict is known."""

    fitting: tuple[Case, ...]
    unfitting: tuple[Case, ...]

    def joined(self, other: Exam) -> Exam:
        """Return the cases of both."""
        return Exam((*self.fitting, *other.fitting), (*self.unfitting, *other.unfitting))


@dataclass(frozen=True)
class Trust:
    """Whether a judge's sure yes, and its sure no, count in a collection, and since which sitting of its exam."""

    yes: bool = False
    no: bool = False
    sitting: int = 0

    @property
    def counts_wholly(self) -> bool:
        """Whether all that the judge says counts."""
        return self.yes and self.no

    @property
    def counts(self) -> bool:
        """Whether anything that the judge says counts."""
        return self.yes or self.no
