"""The decision: every design under the assumptions, with more traffic and with a larger model, and where it turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import get_args

from warehouse.economics.assumptions import DecideSettings
from warehouse.economics.designs import Case, Name, case, cost, with_larger_model, with_more_traffic
from warehouse.economics.latency import replicas_that_meet
from warehouse.economics.queueing import Limits

NAMES: tuple[Name, ...] = get_args(Name)
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
    """The value of an assumption from which on another design is the cheapest of all, or of a pair."""

    assumption: str
    value: float
    below: Name
    above: Name


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
        tuple(found for axis, line in zip(_axes(base), lines, strict=True) for found in _turns(line, axis[1])),
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
    """Return what is varied: traffic over five powers of ten, and the hit rate from none to all."""
    traffic = tuple(base.requests * 10 ** (4 * step / _STEPS - 2) for step in range(_STEPS + 1))
    rates = tuple(step / _STEPS for step in range(_STEPS + 1))
    return [
        ("requests_a_month", lambda value: replace(base, requests=value), traffic),
        ("hit_rate", lambda value: replace(base, hit_rate=value), rates),
    ]


def _line(name: str, at: Callable[[float], Case], values: tuple[float, ...]) -> Line:
    cases = [at(value) for value in values]
    return Line(name, values, {design: tuple(cost(design, each).total for each in cases) for design in NAMES})


def _turns(line: Line, at: Callable[[float], Case]) -> list[BreakEven]:
    """Return where the cheapest design changes, by the formulas' replicas."""
    found = []
    for low, high in zip(line.values, line.values[1:], strict=False):
        before, after = cheapest(at(low)), cheapest(at(high))
        if before != after:
            found.append(BreakEven(line.assumption, _between(low, high, at, before), before, after))
    return found


def cheapest(each: Case) -> Name:
    """Return the cheapest design, whatever its latency."""
    return min(NAMES, key=lambda name: cost(name, each).total)


def _between(low: float, high: float, at: Callable[[float], Case], before: Name) -> float:
    while not math.isclose(low, high, rel_tol=1e-6, abs_tol=1e-9):
        middle = (low + high) / 2
        low, high = (middle, high) if cheapest(at(middle)) == before else (low, middle)
    return high
