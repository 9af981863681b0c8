"""How long visitors wait in each design, at the peak.

Live answers are simulated with the admission control of the service; a hosted API and prepared answers are drawn from
lognormal distributions with the given median and 99th percentile. The seed is fixed, so the same assumptions give the
same figures.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from warehouse.economics.designs import Case, Name, is_live, live_share
from warehouse.economics.queueing import Engine, Limits, Visit, lengths, percentile, poisson, simulate

_LIVE = 3000  # simulated answers; 99th percentiles then vary by a few percent
_WARM_UP = 500
_MIXED = 10_000
_GAIN = 0.98  # of the 99th percentile is left at most, where a quarter more replicas help
_Z99 = 2.3263478740408408  # standard deviations above the mean, of the 99th percentile


@dataclass(frozen=True)
class Waits:
    """Percentiles of all answers, of the live ones alone, and the share of live questions that is refused."""

    p50: float
    p99: float
    live_p99: float
    refused: float

    def meets(self, each: Case) -> bool:
        """Whether the goals are met."""
        return self.p99 <= each.given.p99_seconds and self.refused <= each.given.most_refused


def waits(name: Name, each: Case, replicas: int, limits: Limits) -> Waits:
    """Return how long visitors wait at the peak."""
    rng = random.Random(15)
    share = live_share(name, each)
    live, refused = _live(name, each, replicas, limits, rng, share)
    hits = _lognormal(each.given.hit_p50_seconds, each.given.hit_p99_seconds, round(_MIXED * (1 - share)), rng)
    answered = [rng.choice(live) for _ in range(round(_MIXED * share))] if live else []
    mixed = hits + answered
    found = [percentile(mixed, 0.5), percentile(mixed, 0.99), percentile(live, 0.99)]
    p50, p99, live_p99 = (math.inf if value is None else value for value in found)
    return Waits(p50, p99, live_p99, refused)


def replicas_that_meet(name: Name, each: Case, limits: Limits) -> tuple[int, Waits]:
    """Return the replicas at the peak: those of the formula, or more where that meets the goals."""
    least = each.replicas(each.peak_rate * live_share(name, each))
    first = waits(name, each, least, limits)
    if not is_live(name):
        return 0, first
    step = max(1, least // 4)
    replicas, found = least, first
    while not found.meets(each):
        more = waits(name, each, replicas + step, limits)
        if more.p99 > found.p99 * _GAIN and more.refused >= found.refused:
            return least, first  # more replicas don't help
        replicas, found = replicas + step, more
    return replicas, found


def _live(
    name: Name, each: Case, replicas: int, limits: Limits, rng: random.Random, share: float
) -> tuple[list[float], float]:
    if share == 0:
        return [], 0.0
    if not is_live(name):
        return _lognormal(each.given.hosted_p50_seconds, each.given.hosted_p99_seconds, _LIVE, rng), 0.0
    found = simulated(each, each.peak_rate * share, replicas, limits, rng)
    answered = [one.seconds + each.given.overhead_seconds for one in found if one.answered]
    return answered, 1 - len(answered) / len(found)


def simulated(each: Case, rate: float, replicas: int, limits: Limits, rng: random.Random) -> list[Visit]:
    """Return what becomes of live questions at a rate; each replica has the limits that the settings give.

    The concurrency begins at what a replica can do at once: in a peak hour it has had the time to grow there.
    """
    engine = Engine(
        each.given.alone_tokens_a_second * each.speed,
        each.given.full_tokens_a_second * each.speed,
        each.given.sequences,
        replicas,
    )
    scaled = replace(
        limits,
        concurrency=max(limits.concurrency, each.given.sequences) * replicas,
        concurrency_limit=limits.concurrency_limit * replicas,
        queue_length=limits.queue_length * replicas,
    )
    count = _LIVE + _WARM_UP
    tokens = lengths(each.answer_tokens, each.given.answer_spread, count, rng)
    return simulate(poisson(rate, count, rng), tokens, engine, scaled)[_WARM_UP:]


def _lognormal(median: float, p99: float, count: int, rng: random.Random) -> list[float]:
    spread = math.log(p99 / median) / _Z99
    return [median * math.exp(rng.gauss(0, spread)) for _ in range(count)]
