"""Thresholds that keep a promise: from a tolerated error rate to a score, with a bound and a certificate.

The promise: with the stated confidence, at most the tolerated share of the accepted hits is wrong, for
questions like those of the calibration pairs. It follows from fixed-sequence learn-then-test
(arXiv 2110.01052): thresholds are looked at from the strictest to the loosest, in an order fixed before any
label is seen (equal steps in the number accepted); each is tested with an exact binomial upper bound
(Clopper-Pearson) at the full confidence, and the walk ends at the first that fails. Since a wrong acceptance
needs the first bad threshold to pass its test, no correction for the number of thresholds is lost, and
scanning many costs nothing. Where the strict end holds few pairs the test can't pass by luck of few, so the
walk starts at the smallest number of acceptances that could pass at all, and a failure in the first few
steps is not forgiven: then nothing is certified, and nothing is accepted.

Pairs that share a question are not independent. Half of the pairs with many siblings are drawn out by
`one_per_group`, which keeps one pair of each connected group, so that the binomial bound is honest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Certificate:
    """What a threshold rests on. `threshold` None: nothing is certified, so nothing may be accepted."""

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
