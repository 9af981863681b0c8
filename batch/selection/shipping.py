"""Makes the shipped selector from the permissively licensed help-desk questions (rag/selection/shipped-NOTICE.txt).

    python -m batch.selection.shipping HELP_FOLDER ENCODER_FOLDER [--out rag/selection/shipped.json]

Each set of questions is dealt many times into a help desk: most answers are known by 2 to 20 wordings each, some are
left out. Other wordings are then asked, and questions of the other set. Four weights of a logistic model are learned
from all desks. For each number of wordings, a threshold has to keep the tolerated error twice: over all desks with that
number, certified, the questions of one answer counting as one group however often they are asked; and in 95 of 100 of
these desks, since a team has one desk and not their mean. Only rows marked `known` are read.
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
from numpy.typing import NDArray

from batch.selection.training import TOLERATED_ERRORS
from rag.paraphrase.calibration import loosest
from rag.retrieval.embedding import OnnxEncoder
from rag.selection.certificate import CONFIDENCE, SHIPPED, SelectionCertificate
from rag.selection.evidence import Evidence, Wordings, nearest, weigh
from rag.selection.selector import Weights, final_objection
from rag.selection.shipped import ShippedSelector

SETS = ("banking", "assistant")
KNOWN = (2, 3, 5, 8, 12, 20)  # wordings of each answer
_DEALS = 10  # of each set, for each number of wordings
_LEFT_OUT = 0.05  # share of the answers
_STARTS = (0.05, 0.2)  # shares accepted, from which thresholds are tested
_ASKED = 20  # questions of an answer that is known, and half as many of one that is left out
_KEPT = 0.95  # share of the desks
_DIGITS = 4  # of a threshold; the last bits of a score differ between processors


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
    for known, certificates in shipped.certificates.items():
        for each in certificates:
            print(json.dumps({"wordings": known, **each.as_json()}))


def read_known(path: Path, name: str, encoder: OnnxEncoder) -> Wordings:
    """Read the wordings of one set."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["part"] == "known" and row["answer"]]
    texts = [row["text"] for row in rows]
    return Wordings(texts, [f"{name}/{row['answer']}" for row in rows], encoder.embed(texts))


def learn(sets: Sequence[Wordings], seed: int = 0, deals: int = _DEALS) -> ShippedSelector:
    """Return the selector learned from sets of questions of different subjects."""
    desks = {
        known: [desk for number in range(len(sets)) for desk in _dealt_desks(sets, number, known, deals, seed)]
        for known in KNOWN
    }
    weights = _regress([row for mine in desks.values() for desk in mine for row in desk])
    found: dict[int, list[SelectionCertificate]] = {known: [] for known in KNOWN}
    for tolerated in TOLERATED_ERRORS:
        own = [certify_desks(weights, desks[known], tolerated).threshold for known in KNOWN]
        for place, known in enumerate(KNOWN):  # twenty desks tell a threshold roughly; those beside it temper it
            beside = [each for each in own[max(0, place - 1) : place + 2] if each is not None]
            least = float(np.mean(beside)) if beside else 0.0
            found[known].append(certify_desks(weights, desks[known], tolerated, least))
    return ShippedSelector(weights, {known: tuple(mine) for known, mine in found.items()})


def _dealt_desks(sets: Sequence[Wordings], number: int, known: int, deals: int, seed: int) -> list[list[Dealt]]:
    others = [each for n, each in enumerate(sets) if n != number]
    return [
        deal(sets[number], others, known, np.random.default_rng([seed, number, known, each])) for each in range(deals)
    ]


def certify_desks(
    weights: Weights, desks: Sequence[Sequence[Dealt]], tolerated: float, least: float = 0.0
) -> SelectionCertificate:
    """Return the certificate of the loosest threshold, from `least` on, that keeps the error in sum and in most."""
    rows = [row for desk in desks for row in desk]
    scores = np.array([-np.inf if row.refused else weights.score(row.evidence) for row in rows])
    wrong = np.array([not row.right for row in rows])
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(row.group, len(numbers)) for row in rows])
    best = loosest(scores, wrong, groups, tolerated, CONFIDENCE, _STARTS)
    threshold = None
    if best is not None:
        of_desk = np.repeat(np.arange(len(desks)), [len(desk) for desk in desks])
        threshold = keeping(scores, wrong, of_desk, tolerated, max(best.threshold, least))
    accepted = scores >= threshold if threshold is not None else np.zeros(len(rows), bool)
    return SelectionCertificate(
        tolerated, threshold, SHIPPED, best.bound if best else 1.0, CONFIDENCE,
        len(rows), int(accepted.sum()), int((accepted & wrong).sum()), "",
    )  # fmt: skip


def keeping(
    scores: NDArray[np.float64], wrong: NDArray[np.bool_], desks: NDArray[np.int64], tolerated: float, least: float
) -> float | None:
    """Return the smallest threshold from `least` on at which 95 of 100 desks keep the tolerated error."""
    step = 10.0**-_DIGITS
    for threshold in np.arange(math.ceil(least / step) * step, 1.0, step).round(_DIGITS).tolist():
        accepted = scores >= threshold
        hits = np.bincount(desks, accepted)
        kept = np.bincount(desks, accepted & wrong) <= tolerated * hits
        if hits.any() and kept.mean() >= _KEPT:
            return float(threshold)
    return None


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
