"""Figures as people read them: about three digits, a fitting unit, and how they changed."""

from __future__ import annotations


def number(value: float | None) -> str:
    """Format a number with about three digits and k, M or G."""
    if value is None:
        return "–"  # noqa: RUF001 - an en dash stands for no value
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e3 if sign == "k" else limit)
            return f"{scaled:.1f}".rstrip("0").rstrip(".") + f" {sign}"
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.2g}"


def duration(seconds: float | None) -> str:
    """Format a duration in a suitable unit."""
    if seconds is None:
        return "–"  # noqa: RUF001 - an en dash stands for no value
    for limit, divisor, unit in ((1e-3, 1e-6, "µs"), (1, 1e-3, "ms"), (120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / divisor:.3g} {unit}"
    return f"{seconds / 3600:,.3g} h" if seconds < 3.6e6 else f"{seconds / 3600:,.0f} h"


def percent(share: float | None) -> str:
    """Format a share as a percentage."""
    return "–" if share is None else f"{share:.0%}" if share in (0, 1) else f"{share:.1%}"  # noqa: RUF001


def trend(value: float | None, before: float | None) -> str:
    """Return how a figure changed against the period before, in per cent; "" where there is nothing to compare."""
    if value is None or not before:
        return ""
    change = (value - before) / before
    return "as before" if abs(change) < 0.005 else f"{change:+.0%} against before"


def points(share: float | None, before: float | None) -> str:
    """Return how a share changed against the period before, in percentage points; "" if one is not known."""
    if share is None or before is None:
        return ""
    change = (share - before) * 100
    return "as before" if abs(change) < 0.05 else f"{change:+.1f} points against before"
