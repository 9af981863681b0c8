"""A simulation of the misses on their way through the service to the language model.

The model generates continuously: it works on many answers at once, each slower the more there are, and every answer
that ends makes room for the next. Before it stands the admission control of the service, by the rules of
`online/model/admission.py`: a limit that grows by 1 / limit while calls take no longer than the target and loses a
tenth where they do, a queue that is bounded by length and by the predicted wait. A test drives both with the same
arrivals; `bench/decision.py` compares the simulation with the running service.

A closed form exists for neither the adaptive limit nor the refusals by predicted wait, and a simulation of an hour
takes a second. Without those two the simulation agrees with the Erlang C formula (tested).
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_DECREASE = 0.9
_PACE_MEMORY = 0.1
_CAUTION = 0.75


@dataclass(frozen=True)
class Engine:
    """How fast the model writes: `replicas`, each with at most so many `sequences` at once.

    One answer alone comes at `alone` tokens a second, all sequences together at `full`; between them the time of a
    token grows in proportion to the answers at once, as in continuous batching.
    """

    alone: float
    full: float
    sequences: int
    replicas: int = 1

    @property
    def places(self) -> int:
        """Answers at once."""
        return self.sequences * self.replicas

    def pace(self, running: int) -> float:
        """Return the tokens a second of each of so many answers."""
        each = max(1.0, running / self.replicas)
        steps = self.sequences - 1
        slope = max(0.0, (self.sequences / self.full - 1 / self.alone) / steps) if steps else 0.0
        return 1 / (1 / self.alone + slope * (each - 1))


@dataclass(frozen=True)
class Limits:
    """The settings of the admission control, as in `[service]`."""

    concurrency: int = 8
    concurrency_limit: int = 256
    target_seconds: float = 15.0
    queue_length: int = 64
    queue_seconds: float = 10.0


UNLIMITED = Limits(10**9, 10**9, math.inf, 10**9, math.inf)


@dataclass(frozen=True)
class Visit:
    """What became of a request: when it arrived, how long it took, and whether it was answered or refused."""

    arrived: float
    seconds: float
    answered: bool


def steady(per_second: float, seconds: float) -> list[float]:
    """Return arrivals at equal distances."""
    return [number / per_second for number in range(int(per_second * seconds))]


def poisson(per_second: float, count: int, rng: random.Random) -> list[float]:
    """Return the times of so many independent arrivals."""
    times, now = [], 0.0
    for _ in range(count):
        now += rng.expovariate(per_second)
        times.append(now)
    return times


def lengths(mean: float, spread: float, count: int, rng: random.Random) -> list[float]:
    """Return lengths of answers; `spread` is the standard deviation for a mean of 1, and 0 makes all alike."""
    if spread == 0:
        return [mean] * count
    shape = 1 / spread**2
    return [rng.gammavariate(shape, mean / shape) for _ in range(count)]


def simulate(arrivals: Sequence[float], tokens: Sequence[float], engine: Engine, limits: Limits) -> list[Visit]:
    """Return what becomes of requests that arrive at these times and want answers of so many tokens."""
    return _Simulation(engine, limits, arrivals, tokens).run()


@dataclass
class _Simulation:
    """The state: calls that run at the service, those that the model works on, and those that wait for either."""

    engine: Engine
    limits: Limits
    arrivals: Sequence[float]
    tokens: Sequence[float]
    now: float = 0.0
    written: float = 0.0  # tokens that an answer has got which was there from the beginning
    limit: float = 0.0
    mean: float | None = None
    decreased_at: float = -math.inf
    entered: dict[int, float] = field(default_factory=dict)
    ends: list[tuple[float, int]] = field(default_factory=list)
    held: deque[int] = field(default_factory=deque)
    queue: deque[int] = field(default_factory=deque)
    visits: list[Visit] = field(default_factory=list)

    def run(self) -> list[Visit]:
        self.limit = float(min(self.limits.concurrency, self.limits.concurrency_limit))
        for request, arrived in enumerate(self.arrivals):
            self._until(arrived)
            self._arrive(request)
        self._until(math.inf)
        return sorted(self.visits, key=lambda each: each.arrived)

    def _until(self, time: float) -> None:
        """Let everything happen that happens before a time: answers end, and waits in the queue run out."""
        while self.ends or self.queue:
            pace = self.engine.pace(len(self.ends)) if self.ends else 0.0
            end = self.now + (self.ends[0][0] - self.written) / pace if self.ends else math.inf
            given_up = self.arrivals[self.queue[0]] + self.limits.queue_seconds if self.queue else math.inf
            if min(end, given_up) > time:
                break
            self._advance(min(end, given_up), pace)
            if end <= given_up:
                self._end(heapq.heappop(self.ends)[1])
            else:
                self._close(self.queue.popleft(), answered=False)
        if time < math.inf:
            self._advance(time, self.engine.pace(len(self.ends)) if self.ends else 0.0)

    def _advance(self, time: float, pace: float) -> None:
        self.written += (time - self.now) * pace
        self.now = time

    def _arrive(self, request: int) -> None:
        if len(self.entered) < self._whole_limit() and not self.queue:
            self._enter(request)
        elif self._refused():
            self._close(request, answered=False)
        else:
            self.queue.append(request)

    def _whole_limit(self) -> int:
        return max(1, int(self.limit))

    def _refused(self) -> bool:
        if len(self.entered) + len(self.queue) < self._whole_limit():
            return False
        ahead = len(self.entered) + len(self.queue) + 1 - self._whole_limit()
        wait = 0.0 if ahead <= 0 or self.mean is None else ahead * self.mean / self._whole_limit()
        return len(self.queue) >= self.limits.queue_length or wait > self.limits.queue_seconds * _CAUTION

    def _enter(self, request: int) -> None:
        self.entered[request] = self.now
        self.held.append(request)
        self._fill()

    def _fill(self) -> None:
        while self.held and len(self.ends) < self.engine.places:
            request = self.held.popleft()
            heapq.heappush(self.ends, (self.written + self.tokens[request], request))

    def _end(self, request: int) -> None:
        self._learn(self.now - self.entered[request])
        del self.entered[request]
        self._close(request, answered=True)
        self._fill()
        while self.queue and len(self.entered) < self._whole_limit():
            self._enter(self.queue.popleft())

    def _learn(self, seconds: float) -> None:
        self.mean = seconds if self.mean is None else self.mean + _PACE_MEMORY * (seconds - self.mean)
        if seconds > self.limits.target_seconds:
            if self.now - self.decreased_at >= (self.mean or 1.0):
                self.limit = max(1.0, self.limit * _DECREASE)
                self.decreased_at = self.now
        elif len(self.entered) >= self._whole_limit():
            self.limit = min(float(self.limits.concurrency_limit), self.limit + 1 / self.limit)

    def _close(self, request: int, *, answered: bool) -> None:
        arrived = self.arrivals[request]
        self.visits.append(Visit(arrived, self.now - arrived, answered))


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which a share of the values lies, None of none."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def answered_seconds(visits: Sequence[Visit]) -> Iterator[float]:
    """Yield how long each answered request took."""
    return (each.seconds for each in visits if each.answered)


def goodput(visits: Sequence[Visit], seconds: float) -> float:
    """Return the answers a second that came within a time."""
    return sum(each.answered and each.arrived + each.seconds <= seconds for each in visits) / seconds
