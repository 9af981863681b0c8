"""Watching semantic hits online: is the error rate that the operator tolerates being kept?

The calibration vouches for questions like the labelled pairs; visitors may ask others. So a small share of semantic
hits is also answered live, in the background and only while the language model is idle, and both answers are compared
(`online.answering.comparison`). What follows rests on the last 1,000 comparisons of a collection and on a likelihood
ratio: how many times likelier are they if twice the tolerated rate is true than if the tolerated one is?

- from 10 times on the threshold is tightened to the next stricter one that is certified
(`rag.paraphrase.calibration`), where
  there is one. Only hits that pass it too are counted from then on, those of before included;
- from 100 times on the promise is broken beyond doubt, and semantic hits of the collection stop.

Both hold until the next release. `/metrics` shows the share that differs and the exact (Clopper-Pearson) 95 % upper
bound of the true rate.

Why a likelihood ratio: it is looked at after each comparison, and a bound that holds with 99 % at one look fails far
more often at a thousand. Of a ratio it is known that, however often one looks, it ever reaches n with a probability of
at most 1/n while the true rate is tolerable (Ville's inequality); the window of 1,000, which lets a drift be seen,
bends that only over a longer time. The lower 99 % Clopper-Pearson bound that was used before, beside it (simulated):

| tolerated | wrongly, at exactly that rate, in 1,000 | comparisons until it is noticed at twice the rate (median) |
|---|---|---|
|     | bound | tightened | stopped | bound | tightened | stopped |
| 1 %  | 5 % | 5 % | 0.3 % | 520 | 450 | 1,000 |
| 5 %  | 8 % | 8 % | 0.8 % | 110 | 90 | 190 |
| 10 % | 8 % | 8 % | 0.8 % | 50 | 40 | 90 |
| 20 % | 9 % | 8 % | 0.7 % | 23 | 18 | 38 |

At 0.7 of the tolerated rate, where certified thresholds usually are, 1 % are tightened and none is stopped. If all
hits differ, four comparisons tighten and seven stop. To tighten costs hits, to stop costs all of them: hence the
milder step comes as soon as the old bound, and the harsher one with a tenth of its mistakes.

The comparisons are kept in the data folder, in one file a release (`warehouse.releases.comparisons`), and read in its
order by each process: all workers decide the same, and a restart changes nothing. Who removes the file begins anew.

The live model is no oracle and the comparison is crude: what they get wrong counts as an error of the hits, so this
errs on the side of stopping.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from online.telemetry.metrics import Metrics
from rag.paraphrase.calibration import CONFIDENCE, upper_bound
from rag.paraphrase.verifier import Verifier
from warehouse.releases.comparisons import Comparison, RecordedComparisons, record_comparison

_WINDOW = 1000
_TIGHTEN, _STOP = 10, 100

_log = logging.getLogger("beforehand.semantic")


def likelihood_ratio(differing: int, compared: int, tolerated: float) -> float:
    """Return how many times likelier this is at twice the tolerated error rate than at that rate."""
    if tolerated <= 0:
        return math.inf if differing else 1.0
    twice = min(2 * tolerated, (1 + tolerated) / 2)
    logarithm = differing * math.log(twice / tolerated)
    logarithm += (compared - differing) * math.log((1 - twice) / (1 - tolerated))
    return math.exp(min(logarithm, 700.0))  # beyond, a float has no room


@dataclass
class _Collection:
    """What is known of a collection; `verified` is the tolerated error whose threshold is in force."""

    tolerated: float
    verified: float
    threshold: float
    comparisons: deque[Comparison] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    stopped: bool = False

    @property
    def differing(self) -> int:
        return sum(not each.agrees for each in self.comparisons)

    @property
    def ratio(self) -> float:
        return likelihood_ratio(self.differing, len(self.comparisons), self.tolerated)

    def tighten(self, verified: float, threshold: float) -> None:
        self.verified, self.threshold = verified, threshold
        self.comparisons = deque((each for each in self.comparisons if each.score >= threshold), maxlen=_WINDOW)


class SemanticWatch:
    """The comparisons of the release that is served, and what its semantic hits have to pass."""

    def __init__(self, data: Path, tolerated: Mapping[str, float], metrics: Metrics, *, enabled: bool) -> None:
        self._data = data
        self._tolerated = tolerated
        self._metrics = metrics
        self._enabled = enabled
        self._verifier = Verifier.default()
        self._recorded: RecordedComparisons | None = None
        self._collections: dict[str, _Collection] = {}
        self._anew()

    def tolerated(self, collection: str) -> float | None:
        """Return the tolerated error by which hits are verified now, or None while none is served."""
        watched = self._collections[collection]
        return watched.verified if self._enabled and not watched.stopped else None

    def begin(self, release_id: str, verifier: Verifier) -> None:
        """Begin with a release, and with all that is known of it from before (80 ms for 10,000 comparisons)."""
        self._verifier = verifier
        self._recorded = RecordedComparisons(self._data, release_id)
        self._anew()
        while self._take_in():
            pass

    def record(self, release_id: str, comparison: Comparison) -> None:
        """Keep a comparison for all processes; blocking.

        Raises:
            StorageError: the disk is full or the data folder can't be written.
        """
        record_comparison(self._data, release_id, comparison)
        self._metrics.comparisons.labels("agrees" if comparison.agrees else "differs").inc()

    def follow(self) -> None:
        """Take in what is new, from this process and from others."""
        self._take_in()

    def _take_in(self) -> bool:
        if self._recorded is None:
            return False
        comparisons, afresh = self._recorded.new()
        if afresh:
            self._anew()
        for each in comparisons:
            self._take(each)
        if comparisons:
            self._show()
        return bool(comparisons)

    def _anew(self) -> None:
        threshold = self._verifier.threshold
        self._collections = {name: _Collection(each, each, threshold(each)) for name, each in self._tolerated.items()}
        self._show()

    def _take(self, comparison: Comparison) -> None:
        watched = self._collections.get(comparison.collection)
        if watched is None or watched.stopped or comparison.score < watched.threshold:
            return
        watched.comparisons.append(comparison)
        if not comparison.agrees:
            self._judge(comparison.collection, watched)

    def _judge(self, name: str, watched: _Collection) -> None:
        while watched.ratio >= _TIGHTEN and (stricter := self._verifier.stricter(watched.verified)) is not None:
            watched.tighten(stricter, self._verifier.threshold(stricter))
            _log.warning("semantic hits of %s differ too often: now verified for an error of %g", name, stricter)
        if watched.ratio >= _STOP:
            watched.stopped = True
            _log.error("semantic hits of %s stop: too many differ from a live answer", name)

    def _show(self) -> None:
        """Show the worst collection."""
        metrics, collections = self._metrics, self._collections.values()
        counts = [(each.differing, len(each.comparisons)) for each in collections if each.comparisons]
        metrics.error_rate.set(max((differing / compared for differing, compared in counts), default=0))
        metrics.error_bound.set(max((upper_bound(*each, CONFIDENCE) for each in counts), default=1))
        metrics.semantic_tightened.set(any(each.verified < each.tolerated for each in collections))
        metrics.semantic_on.set(self._enabled and not any(each.stopped for each in collections))
