"""Lays out the plots of the report as bars and marks; the template draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from warehouse.reporting.formats import duration, number

if TYPE_CHECKING:
    from warehouse.reporting.figures import Figures

_WIDE, _HALF = 1040.0, 480.0  # a unit is about a pixel, so that texts have the same size in all plots
_HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 220.0, 48.0, 20.0, 26.0, 10.0


@dataclass(frozen=True)
class Bar:
    """A rectangle of a plot in its coordinates; `series` chooses the colour, `title` is shown on hover."""

    x: float
    y: float
    width: float
    height: float
    series: str
    title: str


@dataclass(frozen=True)
class Mark:
    """A label on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Plot:
    """A bar plot: bars, and the marks of both axes."""

    width: float
    height: float
    left: float
    bottom: float
    bars: tuple[Bar, ...]
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]


def stacked(rows: Sequence[Figures], series: Sequence[str], days: Sequence[date]) -> Plot:
    """Plot one bar per day, with the series stacked."""
    values = {row["day"]: row for row in rows}
    top = _round_up(max((sum(row[s] or 0 for s in series) for row in rows), default=0))
    step = (_WIDE - _LEFT - _RIGHT) / len(days)
    bars = []
    for place, day in enumerate(days):
        base = 0.0
        for name in series:
            value = float((values.get(day) or {}).get(name) or 0)
            if value:
                title = f"{day:%d %b}: {number(value)} {name}"
                bars.append(_bar(_LEFT + place * step, step, base, value, top, name, title))
            base += value
    return Plot(_WIDE, _HEIGHT, _LEFT, _HEIGHT - _BOTTOM, tuple(bars), _day_marks(days), _value_marks(top))


def grouped(rows: Sequence[Figures], series: Sequence[str], days: Sequence[date]) -> Plot:
    """Plot a group of bars per day, side by side."""
    values = {row["day"]: row for row in rows}
    top = _round_up(max((row[s] or 0 for row in rows for s in series), default=0))
    step = (_WIDE - _LEFT - _RIGHT) / len(days)
    bars = []
    for place, day in enumerate(days):
        for offset, name in enumerate(series):
            value = float((values.get(day) or {}).get(name) or 0)
            if value:
                x = _LEFT + place * step + offset * step * 0.4
                title = f"{day:%d %b}: {number(value)} tokens {name}"
                bars.append(_bar(x, step * 0.5, 0, value, top, name, title))
    return Plot(_WIDE, _HEIGHT, _LEFT, _HEIGHT - _BOTTOM, tuple(bars), _day_marks(days), _value_marks(top))


def _bar(x: float, step: float, base: float, value: float, top: float, series: str, title: str) -> Bar:
    room = _HEIGHT - _TOP - _BOTTOM
    return Bar(
        round(x + step * 0.1, 1), round(_HEIGHT - _BOTTOM - (base + value) / top * room, 1), round(step * 0.8, 1),
        round(value / top * room, 2), series, title,
    )  # fmt: skip


def _day_marks(days: Sequence[date]) -> tuple[Mark, ...]:
    step = (_WIDE - _LEFT - _RIGHT) / len(days)
    every = max(1, len(days) // 6)
    last = len(days) - 1
    return tuple(
        Mark(round(_LEFT + (n + 0.5) * step, 1), f"{day:%d %b}")
        for n, day in enumerate(days)
        if (last - n) % every == 0
    )


def _value_marks(top: float) -> tuple[Mark, ...]:
    room = _HEIGHT - _TOP - _BOTTOM
    return tuple(
        Mark(round(_HEIGHT - _BOTTOM - part * room, 1), number(part * top)) for part in (0, 0.25, 0.5, 0.75, 1)
    )


def logarithmic(rows: Sequence[Figures]) -> Plot:
    """Plot p50, p95 and p99 per source as horizontal bars on a log scale: hits are a thousand times faster."""
    left, line = 66.0, 19.0
    seconds = [row[p] for row in rows for p in ("p50", "p95", "p99") if (row[p] or 0) > 0]
    low = math.floor(math.log10(min(seconds))) if seconds else -3
    high = max(math.ceil(math.log10(max(seconds))), low + 1) if seconds else 1
    scale = (_HALF - left - 80) / (high - low)
    bars, marks = [], []
    for group, row in enumerate(rows):
        y = group * (3 * line + 14) + 8
        marks.append(Mark(y + 1.5 * line, f"{row['source']}"))
        for place, name in enumerate(("p50", "p95", "p99")):
            length = max(2.0, (math.log10(max(row[name] or 0, 10.0**low)) - low) * scale)
            title = f"{name} {duration(row[name])}"
            bars.append(Bar(left, y + place * line, round(length, 1), line - 4, str(row["source"]), title))
    height = len(rows) * (3 * line + 14) + 24
    x_marks = [Mark(round(left + (e - low) * scale, 1), duration(10.0**e)) for e in range(low, high + 1)]
    return Plot(_HALF, height, left, height - 24, tuple(bars), tuple(x_marks), tuple(marks))


def histogram(row: Figures) -> Plot:
    """Plot one bar per column of a row."""
    top = _round_up(max((value or 0 for value in row.values()), default=0))
    step = (_HALF - _LEFT - _RIGHT) / len(row)
    bars = [
        _bar(_LEFT + place * step, step, 0, float(value or 0), top, "served", f"{name}: {number(value or 0)} answers")
        for place, (name, value) in enumerate(row.items())
    ]
    names = tuple(Mark(round(_LEFT + (place + 0.5) * step, 1), name) for place, name in enumerate(row))
    return Plot(_HALF, _HEIGHT, _LEFT, _HEIGHT - _BOTTOM, tuple(bars), names, _value_marks(top))


def _round_up(value: float) -> float:
    """Round up to a number whose quarters are round."""
    if value <= 4:
        return 4.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value)
