"""The decision: every design under the assumptions, with more traffic and with a larger model, and where it turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

from warehouse.economics.assumptions import DecideSettings
from warehouse.economics.designs import Case, Name, case, cost, with_larger_model, with_more_traffic
from warehouse.economics.latency import replicas_that_meet
from warehouse.economics.queueing import Limits

NAMES: tuple[Name, ...] = get_args(Name)
PAIRS: tuple[tuple[Name, Name], ...] = (
    ("monolith", "microservices"),
    ("microservices", "window, live"),
    ("window, live", "window, hosted"),
    ("window, hosted", "hosted"),
)
_STEPS = 240


@dataclass(frozen=True)
class Verdict:
    """A design in one case; times in seconds."""

    design: Name
    cost: float
    parts: Mapping[str, float]
    gpus: int
    replicas: int
    p50: float
    p99: float
    live_p99: float
    refused: float
    meets: bool


@dataclass(frozen=True)
class Scenario:
    """All designs in one case; `cheapest` is the cheapest that meets the goals, None if none does."""

    name: str
    verdicts: tuple[Verdict, ...]
    cheapest: Name | None


@dataclass(frozen=True)
class BreakEven:
    """The value of an assumption from which on `above` is cheaper than `below`: of all designs, or of the two."""

    assumption: str
    value: float
    below: Name
    above: Name
    among: Literal["all", "the two"]


@dataclass(frozen=True)
class Line:
    """The cost of each design over an assumption, for a plot."""

    assumption: str
    values: tuple[float, ...]
    costs: Mapping[Name, tuple[float, ...]]


@dataclass(frozen=True)
class Decision:
    """Everything that `decide` prints; `sources` say where each assumption comes from."""

    assumptions: Mapping[str, object]
    sources: Mapping[str, str]
    scenarios: tuple[Scenario, ...]
    break_even: tuple[BreakEven, ...]
    lines: tuple[Line, ...]


def decide(given: DecideSettings, limits: Limits, sources: Mapping[str, str] | None = None) -> Decision:
    """Compare the designs."""
    base = case(given)
    cases = {
        "now": base,
        f"traffic x {given.more_traffic:g}": with_more_traffic(base, given.more_traffic),
        f"model x {given.larger_model:g}": with_larger_model(base, given.larger_model, given.larger_hosted_price),
    }
    filled = {name: getattr(base, name, value) for name, value in given.model_dump().items()}
    filled["requests_a_month"] = base.requests
    lines = tuple(_line(name, at, values) for name, at, values in _axes(base))
    return Decision(
        filled,
        sources or {},
        tuple(_scenario(name, each, limits) for name, each in cases.items()),
        tuple(found for axis in _axes(base) for found in break_even(axis)),
        lines,
    )


def _scenario(name: str, each: Case, limits: Limits) -> Scenario:
    verdicts = tuple(_verdict(design, each, limits) for design in NAMES)
    fitting = [verdict for verdict in verdicts if verdict.meets]
    return Scenario(name, verdicts, min(fitting, key=lambda one: one.cost).design if fitting else None)


def _verdict(name: Name, each: Case, limits: Limits) -> Verdict:
    replicas, found = replicas_that_meet(name, each, limits)
    spent = cost(name, each, replicas - cost(name, each).replicas)
    return Verdict(
        name, spent.total, spent.parts, spent.gpus, replicas, found.p50, found.p99, found.live_p99, found.refused,
        found.meets(each),
    )  # fmt: skip


Axis = tuple[str, Callable[[float], Case], tuple[float, ...]]


def _axes(base: Case) -> list[Axis]:
    """Return what is varied: traffic over six powers of ten, the hit rate from none to all, the GPU's price."""
    traffic = tuple(10 ** (6 * step / _STEPS + 3) for step in range(_STEPS + 1))
    rates = tuple(step / _STEPS for step in range(_STEPS + 1))
    prices = tuple(base.given.gpu_hour * 10 ** (2 * step / _STEPS - 1) for step in range(_STEPS + 1))
    return [
        ("requests_a_month", lambda value: replace(base, requests=value), traffic),
        ("hit_rate", lambda value: replace(base, hit_rate=value), rates),
        ("gpu_hour", lambda value: replace(base, given=base.given.model_copy(update={"gpu_hour": value})), prices),
    ]


def _line(name: str, at: Callable[[float], Case], values: tuple[float, ...]) -> Line:
    cases = [at(value) for value in values]
    return Line(name, values, {design: tuple(cost(design, each).total for each in cases) for design in NAMES})


def break_even(axis: Axis) -> list[BreakEven]:
    """Return where the cheapest of all designs changes, and where that of a pair changes for the last time."""
    name, at, values = axis
    found = [BreakEven(name, *turn, among="all") for turn in _turns(at, values, NAMES)]
    for pair in PAIRS:
        found += [BreakEven(name, *turn, among="the two") for turn in _turns(at, values, pair)[-1:]]
    return found


def _turns(
    at: Callable[[float], Case], values: tuple[float, ...], names: tuple[Name, ...]
) -> list[tuple[float, Name, Name]]:
    """Return where the cheapest of some designs changes, by the formulas' replicas."""

    def best(value: float) -> Name:
        return cheapest(at(value), names)

    found = []
    for low, high in pairwise(values):
        before, after = best(low), best(high)
        if before != after:
            found.append((_between(low, high, best, before), before, after))
    return found


def cheapest(each: Case, names: tuple[Name, ...] = NAMES) -> Name:
    """Return the cheapest of some designs, whatever its latency."""
    return min(names, key=lambda name: cost(name, each).total)


def _between(low: float, high: float, best: Callable[[float], Name], before: Name) -> float:
    while not math.isclose(low, high, rel_tol=1e-6, abs_tol=1e-9):
        middle = (low + high) / 2
        low, high = (middle, high) if best(middle) == before else (low, middle)
    return high
