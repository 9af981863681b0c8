"""The decision as HTML: tables, and plots of the cost of each design as inline SVG, without a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2

from warehouse.economics.decision import Decision, Line
from warehouse.economics.designs import DESIGNS
from warehouse.reporting.plots import Mark

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 520.0, 260.0, 64.0, 34.0, 12.0, 12.0
_COLOURS = ("#b8bfca", "#e8973a", "#2f6fde", "#35b0a7", "#8e5bd0")


@dataclass(frozen=True)
class CostLine:
    """The cost of a design as the points of an SVG polyline."""

    design: str
    colour: str
    points: str


@dataclass(frozen=True)
class Plot:
    """Costs over an assumption; costs are on a log scale, since designs differ by powers of ten."""

    name: str
    width: float
    height: float
    left: float
    bottom: float
    curves: tuple[CostLine, ...]
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]


def page(decision: Decision) -> str:
    """Return the decision as a page of its own."""
    body = section(decision)
    title = "Beforehand: what each design costs"
    head = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
    return f"{head}<body>{body}</body></html>\n"


def section(decision: Decision) -> str:
    """Return the decision as a part of a page; everything in it is escaped, and its style is its own."""
    source = resources.files("warehouse").joinpath("templates", "decision.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = figure
    template = environment.from_string(source)
    return template.render(
        decision=decision, designs=DESIGNS, plots=[plot(line) for line in decision.lines],
        colours=dict(zip(DESIGNS, _COLOURS, strict=True)),
    )  # fmt: skip


def plot(line: Line) -> Plot:
    """Return the plot of a line; traffic and prices are on a log scale, shares are not."""
    logarithmic = line.values[0] > 0
    costs = [value for each in line.costs.values() for value in each if value > 0] or [1.0]
    x = _Scale(line.values, _LEFT, _WIDTH - _RIGHT, logarithmic=logarithmic)
    y = _Scale([min(costs), max(costs)], _HEIGHT - _BOTTOM, _TOP, logarithmic=True)
    curves = tuple(
        CostLine(
            name,
            colour,
            " ".join(f"{x(at):.1f},{y(max(cost, min(costs))):.1f}" for at, cost in zip(line.values, each, strict=True)),
        )
        for (name, each), colour in zip(line.costs.items(), _COLOURS, strict=True)
    )
    marks = _powers(line.values) if logarithmic else [0.0, 0.25, 0.5, 0.75, 1.0]
    return Plot(
        line.assumption, _WIDTH, _HEIGHT, _LEFT, _HEIGHT - _BOTTOM, curves,
        tuple(Mark(round(x(each), 1), _short(each)) for each in marks),
        tuple(Mark(round(y(each), 1), _short(each)) for each in _powers([min(costs), max(costs)])),
    )  # fmt: skip


class _Scale:
    """Maps values to coordinates."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, logarithmic: bool) -> None:
        self._of = math.log10 if logarithmic else float
        self._low, high = self._of(min(values)), self._of(max(values))
        self._start = start
        self._step = (end - start) / ((high - self._low) or 1.0)

    def __call__(self, value: float) -> float:
        return self._start + (self._of(value) - self._low) * self._step


def figure(value: float) -> str:
    """Return a number as people read it: 12,345,678 or 0.0072."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _short(value: float) -> str:
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.4g} {sign}"
    return f"{value:.4g}"


def _powers(values: Sequence[float]) -> list[float]:
    low, high = math.log10(min(values)), math.log10(max(values))
    return [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]
