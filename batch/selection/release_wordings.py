"""What the selector of a collection is calibrated on: the run's wordings, its fences, and texts that want no answer.

A question is answered among those with its own filters. Where a collection has filters, the selector is calibrated on
the set of filters with the most wordings, since one text may want several answers under several sets.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from batch.plan import RunPlan
from batch.stores.parquet import read_rows
from rag.identity import normalise, stable_hash
from rag.retrieval.vectors import Vectors
from rag.selection.evidence import Wordings
from warehouse.tables import AnswerWordingRow, FenceRow, QuestionRow

Embed = Callable[[Sequence[str]], Vectors]
_MOST_OUTSIDE = 500
_RULED = frozenset(("journal", "model", "judge"))  # origins of what a language model ruled about


@dataclass(frozen=True)
class CollectionTexts:
    """The texts of a collection by answer; `fences` have the answers that they must not get, `outside` want none.

    `judged` are the texts that a language model ruled about; of a visitor's question it has said that no answer fits.
    """

    wordings: tuple[tuple[str, str], ...]
    fences: tuple[tuple[str, str], ...]
    outside: tuple[str, ...]
    judged: frozenset[str] = frozenset()

    @property
    def barred(self) -> tuple[tuple[str, str], ...]:
        """The fences that are no wordings; one that is a wording of another answer wants that."""
        known = {normalise(text) for text, _ in self.wordings}
        return tuple(dict.fromkeys(each for each in self.fences if normalise(each[0]) not in known))

    @property
    def hash(self) -> str:
        """The hash of the texts, in any order."""
        return stable_hash(sorted(self.wordings), sorted(self.barred), sorted(self.outside), sorted(self.judged))

    @property
    def single(self) -> frozenset[str]:
        """The answers with one wording."""
        counts = Counter(answer for _, answer in self.wordings)
        return frozenset(answer for answer, count in counts.items() if count == 1)

    def embedded(self, embed: Embed) -> Wordings:
        """Return the wordings with their vectors."""
        return _embedded(self.wordings, embed)

    def embedded_fences(self, embed: Embed) -> Wordings:
        """Return the fences that are no wordings, with the answers that they must not get."""
        return _embedded(self.barred, embed)


def _embedded(pairs: Sequence[tuple[str, str]], embed: Embed) -> Wordings:
    texts = [text for text, _ in pairs]
    return Wordings(texts, [answer for _, answer in pairs], units(embed(texts)))


def collection_texts(plan: RunPlan) -> dict[str, CollectionTexts]:
    """Return the texts of each collection that has further wordings or fences."""
    folder = plan.folder("anticipate")
    further = read_rows(f"{folder}/wordings", AnswerWordingRow)
    fences = read_rows(f"{folder}/fences", FenceRow)
    if not further and not fences:
        return {}
    questions = read_rows(f"{folder}/questions", QuestionRow)
    return texts_of(plan.collections, questions, further, fences)


def texts_of(
    collections: Iterable[str], questions: list[QuestionRow], further: list[AnswerWordingRow], fences: list[FenceRow]
) -> dict[str, CollectionTexts]:
    """Return the texts of each collection that has further wordings or fences, from the rows of a run or a release."""
    worded = {row["collection"] for row in further} | {row["collection"] for row in fences}
    return {name: _texts(name, questions, further, fences) for name in collections if name in worded}


def _texts(
    collection: str, questions: list[QuestionRow], further: list[AnswerWordingRow], fences: list[FenceRow]
) -> CollectionTexts:
    own = [row for row in questions if row["collection"] == collection and row["origin"] != "canary"]
    asked_with = {row["query_key"]: str(sorted(row["filters"].items())) for row in own}
    by_filters: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in own:
        by_filters[asked_with[row["query_key"]]].append((row["question"], row["query_key"]))
    for wording in further:
        if wording["query_key"] in asked_with:
            by_filters[asked_with[wording["query_key"]]].append((wording["wording"], wording["query_key"]))
    wordings = max(by_filters.values(), key=len, default=[])
    known, answers = {normalise(text) for text, _ in wordings}, {answer for _, answer in wordings}
    others = (
        row["question"]
        for row in questions
        if (row["collection"] != collection or row["origin"] == "canary") and normalise(row["question"]) not in known
    )
    outside = sorted(set(others), key=lambda text: stable_hash("outside", text))[:_MOST_OUTSIDE]
    barring = [row for row in fences if row["query_key"] in answers]
    origins = [
        *((row["question"], row["origin"]) for row in own),
        *((row["wording"], row["origin"]) for row in further if row["query_key"] in answers),
        *((row["text"], row["origin"]) for row in barring),
    ]
    return CollectionTexts(
        tuple(wordings),
        tuple((row["text"], row["query_key"]) for row in barring),
        tuple(outside),
        frozenset(text for text, origin in origins if origin in _RULED),
    )


def units(vectors: Vectors) -> Vectors:
    """Return vectors at length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return found
