"""Golden questions: what a release must answer rightly, and whether it got worse.

A golden question is right if its answer is served and holds every expected text, letter case aside, or
overlaps with a reference answer in enough words (F1 of the words, as SQuAD counts it).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import WarehouseError


@dataclass(frozen=True)
class Golden:
    """A golden question with texts that its answer must hold, or an answer to compare with.

    `detail` says where it stands, as file:line.
    """

    collection: str
    query_key: str
    question: str
    expected: tuple[str, ...]
    reference: str | None
    detail: str


def read_golden(files: Iterable[Path], query_key: Callable[[str, str], str], default_collection: str) -> list[Golden]:
    """Read JSONL files of golden questions; `query_key` names a question of a collection.

    Raises:
        WarehouseError: a file or a line can't be used; the message names it.
    """
    return [golden for path in files for golden in _read(path, query_key, default_collection)]


def _read(path: Path, query_key: Callable[[str, str], str], default: str) -> Iterator[Golden]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WarehouseError(f"Golden questions: {path} can't be read ({error}).") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _golden(json.loads(line), query_key, default, f"{path.name}:{number}")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise WarehouseError(
                    f"Golden questions: {path}, line {number} needs `question` and `expected` or `reference` ({error})."
                ) from error


def _golden(row: Mapping[str, object], query_key: Callable[[str, str], str], default: str, place: str) -> Golden:
    question = str(row["question"])
    expected = row.get("expected", [])
    texts = (expected,) if isinstance(expected, str) else tuple(map(str, expected))  # type: ignore[call-overload]  # any iterable
    reference = None if row.get("reference") is None else str(row["reference"])
    if not texts and not reference:
        raise ValueError("neither is there")
    collection = str(row.get("collection", default))
    return Golden(collection, query_key(collection, question), question, texts, reference, place)


def right(golden: Golden, answer: str | None, overlap: float) -> bool:
    """Return whether an answer (None: not served) satisfies a golden question."""
    if answer is None:
        return False
    if golden.expected:
        return all(text.casefold() in answer.casefold() for text in golden.expected)
    return word_overlap(answer, golden.reference or "") >= overlap


def word_overlap(answer: str, reference: str) -> float:
    """Return the F1 of the words of two texts."""
    ours, theirs = _words(answer), _words(reference)
    common = sum((ours & theirs).values())
    if not common:
        return 0.0
    precision, recall = common / ours.total(), common / theirs.total()
    return 2 * precision * recall / (precision + recall)


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.casefold()))


def compare(
    golden: Sequence[Golden],
    answers: Mapping[str, str],
    previous: Mapping[str, str] | None,
    overlap: float,
) -> tuple[list[Golden], list[Golden]]:
    """Return the golden questions that are wrong, and those of them that were right before.

    `answers` and `previous` map query keys to served answers.
    """
    wrong = [g for g in golden if not right(g, answers.get(g.query_key), overlap)]
    worse = [g for g in wrong if previous is not None and right(g, previous.get(g.query_key), overlap)]
    return wrong, worse
