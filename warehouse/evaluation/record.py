"""Evaluations on record: one line each in `<data>/evaluations.jsonl`, since a release itself is never written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rag.identity import stable_hash
from warehouse.append_log import append
from warehouse.audit.golden import Golden
from warehouse.log_line import read

EVALUATIONS = "evaluations.jsonl"

Measures = Mapping[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a release on a golden set, with the retrieval settings that were in force.

    `questions` are all, `located` those whose right passages are known, `answerable` those that judge answers.
    `collections` are the measures of each by the way of searching: live, as the run stored it, with and without each
    help of the language model; `questions` is one of them.
    """

    at: str
    release_id: str
    golden_set: str
    questions: int
    located: int
    answerable: int
    settings: Mapping[str, object]
    retrieval: Measures
    answers: Measures
    judge: str | None = None
    collections: Mapping[str, Mapping[str, Measures]] = field(default_factory=dict)


def golden_set(golden: Sequence[Golden]) -> str:
    """Return the hash of a golden set, whatever its order and files."""
    return stable_hash(
        "golden",
        sorted(
            [each.query_key, *each.expected, each.reference or "", each.document or "", *each.passages]
            for each in golden
        ),
    )


def keep(data: Path, evaluation: Evaluation) -> None:
    """Append an evaluation.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    append(data / EVALUATIONS, [asdict(evaluation)])


def last(data: Path) -> Evaluation | None:
    """Return the last evaluation on record; lines that this version can't read are skipped."""
    for record in reversed(read(data / EVALUATIONS)):
        try:
            return Evaluation(**record)
        except TypeError:
            continue
    return None
