"""Watches semantic hits: is the error rate that the operator tolerates being kept?

The calibration vouches for questions like the labelled pairs; visitors may ask others. So a share of the hits is also
answered live (`online.answering.comparison`). The last 1,000 comparisons of a collection give a likelihood ratio: how
many times likelier are they at twice the tolerated rate than at that rate?

- From 10 on, the thresholds are tightened to the next stricter certified ones (`rag.paraphrase.calibration`), if there
  are any: those of the verifier, and of the selector where the collection has one. From then on only hits that pass
  them count, earlier ones included.
- From 100 on, semantic hits of the collection stop.

Both hold until the next release. A likelihood ratio may be looked at after every comparison, where a confidence bound
that holds at one look fails at a thousand (docs/measurements.md). The live model is no oracle and the comparison is
crude; their mistakes count as errors of the hits, so this errs on the side of stopping.

The comparisons are kept in one file a release (`warehouse.releases.comparisons`) that every process reads in order:
all workers decide the same, and a restart changes nothing. To remove the file begins anew.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from online.telemetry.metrics import Metrics
from rag.paraphrase.calibration import CONFIDENCE, upper_bound
from rag.paraphrase.verifier import Verifier
from rag.selection.selector import Selector
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
    return math.exp(min(logarithm, 700.0))  # beyond, a float overflows


@dataclass
class _Collection:
    """The comparisons of a collection; `verified` is the tolerated error whose thresholds are in force."""

    tolerated: float
    verified: float
    verifier: Verifier
    selector: Selector | None
    comparisons: deque[Comparison] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    stopped: bool = False

    @property
    def differing(self) -> int:
        return sum(not each.agrees for each in self.comparisons)

    @property
    def ratio(self) -> float:
        return likelihood_ratio(self.differing, len(self.comparisons), self.tolerated)

    def counts(self, comparison: Comparison) -> bool:
        """Whether such a hit would be served now."""
        by = self.selector if comparison.selected else self.verifier
        return by is not None and comparison.score >= by.threshold(self.verified)

    def stricter(self) -> float | None:
        """Return the next smaller error at which fewer hits are served, or None."""
        errors = [each.stricter(self.verified) for each in (self.verifier, self.selector) if each is not None]
        return max((each for each in errors if each is not None), default=None)

    def tighten(self, verified: float) -> None:
        self.verified = verified
        self.comparisons = deque(filter(self.counts, self.comparisons), maxlen=_WINDOW)


class SemanticWatch:
    """The comparisons of the current release, and the error for which its semantic hits are verified."""

    def __init__(self, data: Path, tolerated: Mapping[str, float], metrics: Metrics, *, enabled: bool) -> None:
        self._data = data
        self._tolerated = tolerated
        self._metrics = metrics
        self._enabled = enabled
        self._verifier = Verifier.default()
        self._selectors: Mapping[str, Selector] = {}
        self._recorded: RecordedComparisons | None = None
        self._reading = asyncio.Lock()
        self._collections: dict[str, _Collection] = {}
        self._reset()

    def tolerated(self, collection: str) -> float | None:
        """Return the tolerated error for which hits are verified now, or None while none is served."""
        watched = self._collections[collection]
        return watched.verified if self._enabled and not watched.stopped else None

    def begin(self, release_id: str, verifier: Verifier, selectors: Mapping[str, Selector] | None = None) -> None:
        """Begin with a release and its recorded comparisons (80 ms for 10,000); `selectors` are by collection."""
        self._verifier, self._selectors = verifier, selectors or {}
        self._recorded = RecordedComparisons(self._data, release_id)
        self._reset()
        while self._take_in(*self._recorded.new()):
            pass

    def record(self, release_id: str, comparison: Comparison) -> None:
        """Record a comparison for all processes; blocking.

        Raises:
            StorageError: the disk is full or the data folder can't be written.
        """
        record_comparison(self._data, release_id, comparison)
        self._metrics.comparisons.labels("agrees" if comparison.agrees else "differs").inc()

    async def follow(self) -> None:
        """Read new comparisons, of this process and of others."""
        async with self._reading:
            recorded = self._recorded
            if recorded is not None:
                found = await asyncio.to_thread(recorded.new)
                if recorded is self._recorded:  # no other release has begun meanwhile
                    self._take_in(*found)

    def _take_in(self, comparisons: Sequence[Comparison], afresh: bool) -> bool:
        if afresh:
            self._reset()
        for each in comparisons:
            self._take(each)
        if comparisons:
            self._show()
        return bool(comparisons)

    def _reset(self) -> None:
        self._collections = {
            name: _Collection(each, each, self._verifier, self._selectors.get(name))
            for name, each in self._tolerated.items()
        }
        self._show()

    def _take(self, comparison: Comparison) -> None:
        watched = self._collections.get(comparison.collection)
        if watched is None or watched.stopped or not watched.counts(comparison):
            return
        watched.comparisons.append(comparison)
        if not comparison.agrees:
            self._judge(comparison.collection, watched)

    def _judge(self, name: str, watched: _Collection) -> None:
        while watched.ratio >= _TIGHTEN and (stricter := watched.stricter()) is not None:
            watched.tighten(stricter)
            _log.warning("semantic hits of %s differ too often: now verified for an error of %g", name, stricter)
        if watched.ratio >= _STOP:
            watched.stopped = True
            _log.error("semantic hits of %s stop: too many differ from a live answer", name)

    def _show(self) -> None:
        """Set the gauges to the worst collection."""
        metrics, collections = self._metrics, self._collections.values()
        counts = [(each.differing, len(each.comparisons)) for each in collections if each.comparisons]
        metrics.error_rate.set(max((differing / compared for differing, compared in counts), default=0))
        metrics.error_bound.set(max((upper_bound(*each, CONFIDENCE) for each in counts), default=1))
        metrics.semantic_tightened.set(any(each.verified < each.tolerated for each in collections))
        metrics.semantic_on.set(self._enabled and not any(each.stopped for each in collections))
