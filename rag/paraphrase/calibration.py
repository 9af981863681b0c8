"""Thresholds that keep a promise: from a tolerated error rate to a score, with a bound and a certificate.

The promise: with the stated confidence, at most the tolerated share of the accepted hits is wrong, for
questions like those of the calibration pairs. Three things stand between a good figure and that promise.

Scanning. The loosest of many thresholds that looks good on the calibration pairs is an optimistic choice.
We use fixed-sequence learn-then-test (arXiv 2110.01052): the thresholds are put in an order that no label
can influence (by the share of pairs accepted), each is tested with an exact binomial upper bound
(Clopper-Pearson), and a walk from strict to loose ends at its first failure, so it needs no correction for
its length. At the strict end there are too few pairs to pass any test, so we walk from five fixed starting
points and give each a fifth of the allowed risk (Bonferroni).

Siblings. Pairs that share a question are not independent, so they are never split (`connected_groups`), and
the counts are divided by the design effect (the variance of the errors by group over the binomial one).

Noise. People mislabel: on the pairs we developed on, 7 % of those above cosine 0.99 are judged different. No
threshold can be certified below that floor, and then `threshold` is None: nothing is accepted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import CalibrationError
from rag.identity import stable_hash

CONFIDENCE = 0.95
STARTS = (0.01, 0.03, 0.08, 0.2, 0.4)  # shares of the pairs accepted at which the walks begin
_STEP = 0.005  # share of the pairs by which a walk goes on
_FEWEST = 50  # pairs; below, a certificate would rest on nothing


@dataclass(frozen=True)
class ScoredPair:
    """A labelled pair of questions and its score; minus infinity where a guard refuses it."""

    first: str
    second: str
    same: bool
    score: float


@dataclass(frozen=True)
class Certificate:
    """What a threshold rests on. `threshold` None: nothing is certified, so nothing may be accepted.

    `bound` is the upper confidence bound on the error among the accepted, `accepted` and `errors` are the
    counts on the calibration pairs, and `calibration_hash` names those pairs with their labels.
    """

    tolerated_error: float
    threshold: float | None
    pairs: int
    accepted: int
    errors: int
    bound: float
    confidence: float
    calibration_hash: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields for a JSON file."""
        return asdict(self)


def connected_groups(pairs: Iterable[tuple[Hashable, Hashable]]) -> list[int]:
    """Number the connected component of each pair (union-find over all pairs, labelled same or not)."""
    parent: dict[Hashable, Hashable] = {}

    def root(item: Hashable) -> Hashable:
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    listed = list(pairs)
    for one, other in listed:
        parent[root(one)] = root(other)
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(root(one), len(numbers)) for one, _ in listed]


def split(groups: Sequence[int], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Deal whole groups into parts: for each row the part (0, 1, ...); `shares` add up to 1."""
    drawn = np.random.default_rng(seed).random(max(groups, default=-1) + 1)
    part: NDArray[np.int64] = np.searchsorted(np.cumsum(shares[:-1]), drawn, side="right")
    return part[np.asarray(groups, dtype=np.int64)]


@functools.lru_cache(maxsize=4096)
def upper_bound(errors: float, accepted: float, confidence: float) -> float:
    """Return the exact (Clopper-Pearson) one-sided upper bound on an error rate.

    The counts may be fractions where a design effect shrank them. No acceptance, no knowledge: 1.
    """
    if accepted <= 0 or errors >= accepted:
        return 1.0
    low, high = errors / accepted, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if _at_most(errors, accepted, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(errors: float, accepted: float, rate: float) -> float:
    """Return P(X <= errors) for X binomial; whole errors are rounded up, acceptances down."""
    n, k = math.floor(accepted), math.ceil(errors)
    if k >= n or rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    counts = np.arange(k + 1)
    logs = _log_factorials(1 << n.bit_length())
    terms = logs[n] - logs[counts] - logs[n - counts] + counts * math.log(rate) + (n - counts) * math.log1p(-rate)
    top = float(terms.max())
    return min(1.0, math.exp(top) * float(np.exp(terms - top).sum()))


@functools.cache
def _log_factorials(n: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def design_effect(errors: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """Return how many times the variance of the error rate exceeds that of independent pairs; at least 1."""
    rate = errors.mean() if len(errors) else 0.0
    if rate in (0.0, 1.0):
        sizes = np.bincount(groups)
        return float(max(1.0, (sizes**2).sum() / max(sizes.sum(), 1)))
    residuals = np.bincount(groups, weights=errors - rate)
    return float(max(1.0, (residuals**2).sum() / (len(errors) * rate * (1 - rate))))


def calibrate(pairs: Sequence[ScoredPair], tolerated_error: float, confidence: float = CONFIDENCE) -> Certificate:
    """Find the loosest threshold whose error is certified to be at most `tolerated_error`.

    Raises:
        CalibrationError: fewer than 50 pairs, or a tolerated error outside 0 to 1.
    """
    if not 0 <= tolerated_error <= 1:
        raise CalibrationError(f"a tolerated error of {tolerated_error} is not a share between 0 and 1")
    if len(pairs) < _FEWEST:
        raise CalibrationError(f"{len(pairs)} labelled pairs for calibration; at least {_FEWEST} are needed")
    groups = np.asarray(connected_groups((each.first, each.second) for each in pairs))
    scores = np.array([each.score for each in pairs])
    wrong = np.array([not each.same for each in pairs])
    best = loosest(scores, wrong, groups, tolerated_error, confidence)
    accepted = scores >= best.threshold if best else np.zeros(len(pairs), bool)
    return Certificate(
        tolerated_error=tolerated_error,
        threshold=best.threshold if best else None,
        pairs=len(pairs),
        accepted=int(accepted.sum()),
        errors=int((accepted & wrong).sum()),
        bound=best.bound if best else 1.0,
        confidence=confidence,
        calibration_hash=calibration_hash(pairs),
    )


@dataclass(frozen=True)
class Tested:
    """A threshold that passed its test, and the bound that it passed with."""

    threshold: float
    bound: float


def loosest(
    scores: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    groups: NDArray[np.int64],
    tolerated_error: float,
    confidence: float = CONFIDENCE,
) -> Tested | None:
    """Walk the thresholds as the design note says; None where no walk passes its first test."""
    order = np.argsort(-scores, kind="stable")
    scores, wrong, groups = scores[order], wrong[order], groups[order]
    usable = int(np.isfinite(scores).sum())
    each = 1 - (1 - confidence) / len(STARTS)
    best = 0
    for start in STARTS:
        position = start
        while True:
            count = _with_ties(scores, min(round(position * len(scores)), usable))
            if not _passes(wrong[:count], groups[:count], tolerated_error, each):
                break
            best = max(best, count)
            if count >= usable:
                break
            position += _STEP
    if not best:
        return None
    effect = design_effect(wrong[:best], groups[:best])
    bound = upper_bound(float(wrong[:best].sum()) / effect, best / effect, each)
    return Tested(float(scores[best - 1]), min(bound, tolerated_error))


def _with_ties(scores: NDArray[np.float64], count: int) -> int:
    """Return how many pairs score at least what the `count`-th of the descending scores does."""
    return int(np.searchsorted(-scores, -scores[count - 1], side="right")) if count else 0


def _passes(wrong: NDArray[np.bool_], groups: NDArray[np.int64], tolerated_error: float, confidence: float) -> bool:
    """Test one threshold: so few errors would be unlikely if the true rate exceeded the tolerated one."""
    effect = design_effect(wrong, groups) if len(wrong) else 1.0
    errors, accepted = float(wrong.sum()) / effect, len(wrong) / effect
    return accepted >= 1 and _at_most(errors, accepted, tolerated_error) <= 1 - confidence


def calibration_hash(pairs: Iterable[ScoredPair]) -> str:
    """Name a calibration set by its questions and labels, in any order."""
    return stable_hash("calibration", sorted([each.first, each.second, each.same] for each in pairs))


def recompute(certificate: Certificate, pairs: Sequence[ScoredPair]) -> Certificate:
    """Derive a certificate again from its pairs, offline; the caller compares the two.

    Raises:
        CalibrationError: these are not the pairs that the certificate names.
    """
    found = calibration_hash(pairs)
    if found != certificate.calibration_hash:
        raise CalibrationError(
            f"the certificate names the calibration pairs {certificate.calibration_hash}, these are {found}; "
            "recompute with the pairs that the verifier was calibrated on"
        )
    return calibrate(pairs, certificate.tolerated_error, certificate.confidence)
