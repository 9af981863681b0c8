"""Watching semantic hits online: is the error rate that the operator tolerates being kept?

The calibration vouches for questions like the labelled pairs; visitors may ask others. So a small share of
semantic hits is also answered live, in the background and only while the language model is idle, and both
answers are compared (`online.comparison`). Of the last 500 comparisons of a collection, the exact binomial
(Clopper-Pearson) bounds of the error rate are kept:

- the upper one is what `/metrics` shows: with 95 % confidence the true rate is below it;
- if the lower 99 % one exceeds what is tolerated, the promise is broken beyond doubt, and semantic hits of
  that collection stop until the next release. 99 and not 95 since it is looked at again and again.

The live model is no oracle: where it disagrees with itself, this errs on the side of stopping.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from online.metrics import Metrics
from rag.calibration import CONFIDENCE, upper_bound

_WINDOW = 500
_BEYOND_DOUBT = 0.99
_FEWEST = 10  # comparisons before anything is concluded


def lower_bound(errors: int, trials: int, confidence: float) -> float:
    """Return the rate below which so many errors would have a probability below 1 - confidence."""
    return 1 - upper_bound(trials - errors, trials, confidence)


class SemanticWatch:
    """The comparisons of each collection, and whether its semantic hits are served."""

    def __init__(self, tolerated: Mapping[str, float], metrics: Metrics, *, enabled: bool) -> None:
        self._tolerated = tolerated
        self._metrics = metrics
        self._enabled = enabled
        self._agreed: dict[str, deque[bool]] = {}
        self._stopped: set[str] = set()
        self.reset()

    def serving(self, collection: str) -> bool:
        """Say whether semantic hits of a collection are served."""
        return self._enabled and collection not in self._stopped

    def reset(self) -> None:
        """Begin anew, with a new release and its verifier."""
        self._agreed = {name: deque(maxlen=_WINDOW) for name in self._tolerated}
        self._stopped.clear()
        self._metrics.semantic_on.set(self._enabled)

    def record(self, collection: str, *, agrees: bool) -> bool:
        """Take one comparison; returns False when it stops the collection's semantic hits."""
        agreed = self._agreed[collection]
        agreed.append(agrees)
        self._metrics.comparisons.labels("agrees" if agrees else "differs").inc()
        if (
            lower_bound(agreed.count(False), len(agreed), _BEYOND_DOUBT) > self._tolerated[collection]
            and len(agreed) >= _FEWEST
        ):
            self._stopped.add(collection)
        self._show()
        return self.serving(collection)

    def _show(self) -> None:
        """Show the worst collection."""
        counts = [(each.count(False), len(each)) for each in self._agreed.values() if each]
        self._metrics.error_rate.set(max(errors / trials for errors, trials in counts))
        self._metrics.error_bound.set(max(upper_bound(*each, CONFIDENCE) for each in counts))
        self._metrics.semantic_on.set(self._enabled and not self._stopped)
