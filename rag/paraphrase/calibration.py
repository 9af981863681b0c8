"""Derives a threshold from a tolerated error rate, with a statistical bound recorded in a certificate.

The promise: with the stated confidence, at most the tolerated share of accepted hits is wrong, for questions like the
calibration pairs. It costs hits: the threshold is stricter than the loosest one that looks good on those pairs.

Thresholds are tested by fixed-sequence learn-then-test (arXiv 2110.01052): in an order that no label can influence (by
the share of pairs accepted), each with an exact binomial upper bound (Clopper-Pearson), from strict to loose up to the
first failure, which needs no correction for the number of tests. The strictest thresholds accept too few pairs to
pass, so there are five fixed starting points, each with a fifth of the allowed risk (Bonferroni). Pairs that share
a question are dependent: they are never split (`connected_groups`), and counts are divided by the design effect.
docs/semantic-hits.md says more, with figures.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rag.errors import CalibrationError
from rag.identity import stable_hash

CONFIDENCE = 0.95
STARTS = (0.01, 0.03, 0.08, 0.2, 0.4)  # shares of the pairs accepted at the starting points
_STEP = 0.005  # share of the pairs added at each step
_FEWEST = 50  # pairs; fewer would support no certificate


class Certified(Protocol):
    """A certificate of any kind; its `threshold` is None where nothing is certified."""

    @property
    def tolerated_error(self) -> float:
        """The error that the threshold keeps to."""
        ...

    @property
    def threshold(self) -> float | None:
        """The score from which on something is accepted."""
        ...


C = TypeVar("C", bound=Certified)


def applying(certificates: Iterable[C], tolerated_error: float) -> C | None:
    """Return the certificate of the largest certified error that is tolerated, or None."""
    certified = [
        each for each in certificates if each.threshold is not None and each.tolerated_error <= tolerated_error
    ]
    return max(certified, key=lambda each: each.tolerated_error, default=None)


def threshold_for(certificates: Iterable[Certified], tolerated_error: float) -> float:
    """Return the threshold for a tolerated error, infinity if none is certified."""
    found = applying(certificates, tolerated_error)
    return math.inf if found is None or found.threshold is None else found.threshold


def stricter_error(certificates: Sequence[Certified], tolerated_error: float) -> float | None:
    """Return the next smaller tolerated error that has a higher certified threshold, or None."""
    now = threshold_for(certificates, tolerated_error)
    higher = [
        each.tolerated_error
        for each in certificates
        if each.tolerated_error < tolerated_error and each.threshold is not None and each.threshold > now
    ]
    return max(higher, default=None)


@dataclass(frozen=True)
class ScoredPair:
    """A labelled pair of questions and its score, minus infinity if a guard refuses it."""

    first: str
    second: str
    same: bool
    score: float


@dataclass(frozen=True)
class Certificate:
    """A threshold and the evidence for it. `threshold` None: nothing is certified, so nothing may be accepted.

    `bound` is the upper confidence bound on the error rate of accepted pairs; `accepted` and `errors` are the counts
    on the calibration pairs, and `calibration_hash` identifies those pairs and their labels.
    """

    tolerated_error: float
    threshold: float | None
    pairs: int
    accepted: int
    errors: int
    bound: float
    confidence: float
    calibration_hash: str

    def as_json(self) -> dict[str, object]:
        """Return the fields for a JSON file."""
        return asdict(self)


def connected_groups(pairs: Iterable[tuple[Hashable, Hashable]]) -> list[int]:
    """Return the number of each pair's connected component; pairs that share a question are connected."""
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
    """Assign whole groups to parts at random: the part (0, 1, ...) of each row. `shares` add up to 1."""
    drawn = np.random.default_rng(seed).random(max(groups, default=-1) + 1)
    part: NDArray[np.int64] = np.searchsorted(np.cumsum(shares[:-1]), drawn, side="right")
    return part[np.asarray(groups, dtype=np.int64)]


@functools.lru_cache(maxsize=4096)
def upper_bound(errors: float, accepted: float, confidence: float) -> float:
    """Return the exact (Clopper-Pearson) one-sided upper bound on an error rate.

    The counts may be fractions, after division by a design effect. The bound is 1 if nothing was accepted.
    """
    if accepted <= 0 or errors >= accepted:
        return 1.0
    low, high = errors / accepted, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if at_most(errors, accepted, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def at_most(errors: float, accepted: float, rate: float) -> float:
    """Return P(X <= errors) for a binomial X; fractional errors are rounded up, acceptances down."""
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


def design_effect(errors: NDArray[np.bool_], groups: NDArray[np.int64], alike: float = 1.0) -> float:
    """Return how many times the variance of the error rate exceeds that of independent pairs; at least 1.

    `alike` is the correlation within a group that is assumed where no error tells it.
    """
    rate = errors.mean() if len(errors) else 0.0
    if rate in (0.0, 1.0):
        sizes = np.bincount(groups)
        return 1.0 + alike * float(max(1.0, (sizes**2).sum() / max(sizes.sum(), 1)) - 1.0)
    residuals = np.bincount(groups, weights=errors - rate)
    return float(max(1.0, (residuals**2).sum() / (len(errors) * rate * (1 - rate))))


def calibrate(pairs: Sequence[ScoredPair], tolerated_error: float, confidence: float = CONFIDENCE) -> Certificate:
    """Return a certificate for the loosest threshold whose error is certified to be at most `tolerated_error`.

    Raises:
        CalibrationError: fewer than 50 pairs, or a tolerated error outside 0 to 1.
    """
    if not 0 <= tolerated_error <= 1:
        raise CalibrationError(f"the tolerated error must be a share from 0 to 1, not {tolerated_error}")
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
    """A threshold that passed its test, with its bound."""

    threshold: float
    bound: float


def loosest(
    scores: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    groups: NDArray[np.int64],
    tolerated_error: float,
    confidence: float = CONFIDENCE,
    starts: Sequence[float] = STARTS,
    alike: float = 1.0,
) -> Tested | None:
    """Return the loosest threshold that passes, as described above, or None if none does.

    `alike` is the correlation of errors within a group that is assumed while there are none.
    """
    order = np.argsort(-scores, kind="stable")
    scores, wrong, groups = scores[order], wrong[order], groups[order]
    usable = int(np.isfinite(scores).sum())
    each = 1 - (1 - confidence) / len(starts)
    best = 0
    for start in starts:
        position = start
        while True:
            count = _with_ties(scores, min(round(position * len(scores)), usable))
            if not _passes(wrong[:count], groups[:count], tolerated_error, each, alike):
                break
            best = max(best, count)
            if count >= usable:
                break
            position += _STEP
    if not best:
        return None
    effect = design_effect(wrong[:best], groups[:best], alike)
    bound = upper_bound(float(wrong[:best].sum()) / effect, best / effect, each)
    return Tested(float(scores[best - 1]), min(bound, tolerated_error))


def _with_ties(scores: NDArray[np.float64], count: int) -> int:
    """Return how many pairs score at least as high as the `count`-th of the descending scores."""
    return int(np.searchsorted(-scores, -scores[count - 1], side="right")) if count else 0


def _passes(
    wrong: NDArray[np.bool_], groups: NDArray[np.int64], tolerated_error: float, confidence: float, alike: float
) -> bool:
    """Whether so few errors would be unlikely if the true error rate exceeded the tolerated one."""
    effect = design_effect(wrong, groups, alike) if len(wrong) else 1.0
    errors, accepted = float(wrong.sum()) / effect, len(wrong) / effect
    return accepted >= 1 and at_most(errors, accepted, tolerated_error) <= 1 - confidence


def calibration_hash(pairs: Iterable[ScoredPair]) -> str:
    """Return the hash of a calibration set: its questions and labels, in any order."""
    return stable_hash("calibration", sorted([each.first, each.second, each.same] for each in pairs))


def recompute(certificate: Certificate, pairs: Sequence[ScoredPair]) -> Certificate:
    """Derive a certificate again from its pairs, for the caller to compare with the first.

    Raises:
        CalibrationError: the pairs are not those of the certificate.
    """
    found = calibration_hash(pairs)
    if found != certificate.calibration_hash:
        raise CalibrationError(
            f"the certificate names the calibration pairs {certificate.calibration_hash}, these are {found}; "
            "use the pairs that the verifier was calibrated on"
        )
    return calibrate(pairs, certificate.tolerated_error, certificate.confidence)
