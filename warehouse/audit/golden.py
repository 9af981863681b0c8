"""Golden questions: which of them a release answers rightly, and which got worse.

A golden question is right if its answer is served and contains every expected text, ignoring case, or shares enough
words with a reference answer (`rag.evaluation.token_f1`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.evaluation import token_f1
from rag.filters import Filters


@dataclass(frozen=True)
class Golden:
    """A golden question with texts that its answer must contain, or an answer to compare with.

    `document` and `passages` (texts, any of which will do) say where the answer stands, for measuring retrieval.
    `detail` is its file and line, as file:line; `weight` what the question is worth beside others; `filters` are the
    values that it is asked with.
    """

    collection: str
    query_key: str
    question: str
    expected: tuple[str, ...]
    reference: str | None
    detail: str
    weight: float = 1.0
    filters: Filters = ()
    document: str | None = None
    passages: tuple[str, ...] = ()

    @property
    def judges_answers(self) -> bool:
        """Whether it says what a right answer is."""
        return bool(self.expected or self.reference)


def right(golden: Golden, answer: str | None, overlap: float) -> bool:
    """Return whether an answer (None: not served) satisfies a golden question."""
    if answer is None:
        return False
    if golden.expected:
        return all(text.casefold() in answer.casefold() for text in golden.expected)
    return token_f1(answer, [golden.reference or ""]) >= overlap


def compare(
    golden: Sequence[Golden],
    answers: Mapping[str, str],
    previous: Mapping[str, str] | None,
    overlap: float,
) -> tuple[list[Golden], list[Golden]]:
    """Return the golden questions that are wrong now, and those of them that were right before.

    `answers` and `previous` map query keys to served answers.
    """
    wrong = [g for g in golden if not right(g, answers.get(g.query_key), overlap)]
    worse = [g for g in wrong if previous is not None and right(g, previous.get(g.query_key), overlap)]
    return wrong, worse
