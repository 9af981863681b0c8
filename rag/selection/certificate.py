"""Certificates of answer selection: how often a hit is wrong, known from wordings that were left out.

Two kinds of question are asked of the selector without labelled pairs: a wording that is left out of its answer, which
wants that answer, and a wording whose whole answer is left out, which wants none; so do fences and outside texts.
The tests are those of the verifier (`rag.paraphrase.calibration`); the questions of one answer count as a group.

A few dozen wordings certify nothing by themselves. Then the threshold comes from the shipped selector's certificate,
and the collection's own left-out wordings may only raise it. The certificate says which of the two it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from rag.identity import stable_hash
from rag.paraphrase.calibration import at_most, loosest

OWN, SHIPPED = "own wordings", "shipped selector"
CONFIDENCE = 0.975  # two thresholds are tried, the own and the shipped one: together 95 %
_RARE = 0.3
_FEWEST = 50  # questions; fewer would support no certificate


@dataclass(frozen=True)
class LeftOut:
    """A question put to the selector without its own wording: what it wants ("" for none), and what it got."""

    text: str
    wanted: str
    chosen: str
    score: float

    @property
    def wrong(self) -> bool:
        """Whether a hit would be an error."""
        return self.wanted != self.chosen


@dataclass(frozen=True)
class SelectionCertificate:
    """A threshold and the evidence for it. `threshold` None: nothing is certified, so nothing may be accepted.

    `bound` is the upper confidence bound on the share of wrong hits, on the questions of `source`. `questions`,
    `accepted` and `errors` count the collection's own left-out questions at this threshold, and `calibration_hash`
    identifies those.
    """

    tolerated_error: float
    threshold: float | None
    source: str
    bound: float
    confidence: float
    questions: int
    accepted: int
    errors: int
    calibration_hash: str

    def as_json(self) -> dict[str, object]:
        """Return the fields for a JSON file."""
        return asdict(self)


def certify(rows: Sequence[LeftOut], tolerated_error: float, source: str = OWN) -> SelectionCertificate:
    """Return the certificate of the loosest threshold whose error is certified on these questions alone."""
    found = None
    if len(rows) >= _FEWEST:
        numbers: dict[str, int] = {}
        groups = np.array([numbers.setdefault(row.wanted or row.text, len(numbers)) for row in rows])
        scores = np.array([row.score for row in rows])
        wrong = np.array([row.wrong for row in rows])
        found = loosest(scores, wrong, groups, tolerated_error, CONFIDENCE)
    return _counted(rows, tolerated_error, found.threshold if found else None, source, found.bound if found else 1.0)


def checked(rows: Sequence[LeftOut], shipped: SelectionCertificate) -> SelectionCertificate:
    """Return the shipped certificate as it applies to a collection: raised while its own questions contradict it.

    They do where so many errors would be rarer than three in ten if the tolerated share were wrong.
    """
    threshold = shipped.threshold
    if threshold is not None:
        accepted = sorted((row for row in rows if row.score >= threshold), key=lambda row: -row.score)
        while accepted:
            errors = sum(row.wrong for row in accepted)
            if not errors or at_most(errors - 1, len(accepted), shipped.tolerated_error) <= 1 - _RARE:
                break
            threshold = math.nextafter(accepted.pop().score, math.inf)
    return _counted(rows, shipped.tolerated_error, threshold, SHIPPED, shipped.bound)


def looser(one: SelectionCertificate, other: SelectionCertificate) -> SelectionCertificate:
    """Return the certificate that accepts more; the first if they accept the same."""
    if one.threshold is None or (other.threshold is not None and other.threshold < one.threshold):
        return other
    return one


def calibration_hash(rows: Iterable[LeftOut]) -> str:
    """Return the hash of left-out questions and what they want, in any order."""
    return stable_hash("selection", sorted([row.text, row.wanted] for row in rows))


def _counted(
    rows: Sequence[LeftOut], tolerated_error: float, threshold: float | None, source: str, bound: float
) -> SelectionCertificate:
    accepted = [row for row in rows if threshold is not None and row.score >= threshold]
    return SelectionCertificate(
        tolerated_error=tolerated_error,
        threshold=threshold,
        source=source,
        bound=bound,
        confidence=CONFIDENCE,
        questions=len(rows),
        accepted=len(accepted),
        errors=sum(row.wrong for row in accepted),
        calibration_hash=calibration_hash(rows),
    )
