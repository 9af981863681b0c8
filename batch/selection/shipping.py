"""Makes the shipped selector from the permissively licensed help-desk questions (rag/selection/shipped-NOTICE.txt).

    python -m batch.selection.shipping HELP_FOLDER ENCODER_FOLDER [--out rag/selection/shipped.json]

Each set of questions is dealt many times into a small help desk: most answers are known by 2 to 20 wordings each, some
are left out. Other wordings are then asked, and questions of the other set. Four weights of a logistic model are
learned, and its thresholds are certified; the questions of one answer count as one group throughout, however often
they are asked. Only rows marked `known` are read.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batch.selection.training import TOLERATED_ERRORS
from rag.paraphrase.calibration import loosest
from rag.retrieval.embedding import OnnxEncoder
from rag.selection.certificate import CONFIDENCE, SHIPPED, SelectionCertificate
from rag.selection.evidence import Evidence, Wordings, nearest, weigh
from rag.selection.selector import Selector, Weights, final_objection

SETS = ("banking", "assistant")
_KNOWN = (2, 3, 5, 8, 12, 20)  # wordings of each answer
_LEFT_OUT = 0.05  # share of the answers
_STARTS = (0.3,)  # share accepted, from which thresholds are tested; thousands of questions need one start
_ASKED = 10  # questions of an answer that is known, and half as many of one that is left out


@dataclass(frozen=True)
class Dealt:
    """A question to a dealt help desk: the evidence, whether a guard refuses, and whose question it is."""

    evidence: Evidence
    refused: bool
    right: bool
    group: str


def main() -> None:
    """Write the selector as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("rag/selection/shipped.json"))
    given = parser.parse_args()
    encoder = OnnxEncoder.load(given.encoder)
    sets = [read_known(given.folder / f"{name}.jsonl.gz", name, encoder) for name in SETS]
    shipped = learn(sets)
    shipped.save(given.out)
    for each in shipped.certificates:
        print(json.dumps(each.as_json()))


def read_known(path: Path, name: str, encoder: OnnxEncoder) -> Wordings:
    """Read the wordings of one set."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["part"] == "known" and row["answer"]]
    texts = [row["text"] for row in rows]
    return Wordings(texts, [f"{name}/{row['answer']}" for row in rows], encoder.embed(texts))


def learn(sets: Sequence[Wordings], seed: int = 0, deals: int = 2) -> Selector:
    """Return the selector learned from sets of questions of different subjects."""
    chance = np.random.default_rng(seed)
    rows = []
    for number, mine in enumerate(sets):
        others = [each for n, each in enumerate(sets) if n != number]
        for known in _KNOWN * deals:
            rows += deal(mine, others, known, chance)
    weights = _regress(rows)
    scores = np.array([-np.inf if row.refused else weights.score(row.evidence) for row in rows])
    wrong = np.array([not row.right for row in rows])
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(row.group, len(numbers)) for row in rows])
    certificates = []
    for tolerated in TOLERATED_ERRORS:
        best = loosest(scores, wrong, groups, tolerated, CONFIDENCE, _STARTS)
        accepted = scores >= best.threshold if best else np.zeros(len(rows), bool)
        certificates.append(
            SelectionCertificate(
                tolerated, best.threshold if best else None, SHIPPED, best.bound if best else 1.0, CONFIDENCE,
                len(rows), int(accepted.sum()), int((accepted & wrong).sum()), "",
            )
        )  # fmt: skip
    return Selector(weights, tuple(certificates))


def deal(mine: Wordings, others: Sequence[Wordings], known: int, chance: np.random.Generator) -> list[Dealt]:
    """Make a help desk of most answers of a set, and ask it."""
    owners = np.array(mine.answers)
    names = np.unique(owners)
    left_out = set(chance.choice(names, max(1, round(_LEFT_OUT * len(names))), replace=False).tolist())
    desk: list[int] = []
    asked: list[tuple[Wordings, int, str]] = []
    for name in names.tolist():
        rows = chance.permutation(np.flatnonzero(owners == name)).tolist()
        if name in left_out:
            asked += [(mine, row, "") for row in rows[: _ASKED // 2]]
        else:
            desk += rows[:known]
            asked += [(mine, row, name) for row in rows[known : known + _ASKED]]
    for other in others:
        rows = chance.choice(len(other.texts), min(len(asked) // 10, len(other.texts)), replace=False).tolist()
        asked += [(other, row, "") for row in rows]
    wordings = Wordings([mine.texts[i] for i in desk], [mine.answers[i] for i in desk], mine.vectors[desk])
    return [_dealt(wordings, source, row, wanted) for source, row, wanted in asked]


def _dealt(desk: Wordings, source: Wordings, row: int, wanted: str) -> Dealt:
    text, vector = source.texts[row], source.vectors[row]
    near = nearest(vector, desk)
    evidence = weigh(text, vector, near)
    assert evidence is not None  # a desk has wordings
    refused = final_objection(text, near, evidence) is not None
    return Dealt(evidence, refused, evidence.answer == wanted, source.answers[row])


def _regress(rows: Sequence[Dealt]) -> Weights:
    from sklearn.linear_model import LogisticRegression

    table = [[row.evidence.first, row.evidence.second, math.log(row.evidence.known)] for row in rows]
    model = LogisticRegression(C=10.0).fit(table, [row.right for row in rows])
    return Weights(*(round(float(each), 3) for each in (model.intercept_[0], *model.coef_[0])))


if __name__ == "__main__":
    main()
