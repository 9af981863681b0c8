"""Writes a report: as one HTML page, self-contained so that it can be mailed and archived, or as Markdown.

The page has its styles and plots inside and no script, and fits a phone and a sheet of paper. Everything is escaped,
and control characters that visitors typed are replaced. The templates hold the words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from warehouse.analysis.cells import visible
from warehouse.reporting.formats import duration, number, percent, points, trend
from warehouse.reporting.plots import grouped, histogram, logarithmic, stacked

if TYPE_CHECKING:
    from warehouse.reporting.figures import Report

_MARKS = re.compile(r"([\\`*_\[\]<>|~#])")  # what Markdown would take for markup
_MOST_TASKS = 25
_NOTHING = Markup()


def html(report: Report, review: str | None = None, controls: Markup = _NOTHING, annex: Markup = _NOTHING) -> str:
    """Return the page; `review` is the address of the review page, without which nothing is linked.

    `controls` are shown at the top, where the page is served and not mailed, and `annex` at the end.
    """
    now, days = report.now, report.scope.dates
    return _page().render(
        **_words(report, review),
        controls=controls,
        annex=annex,
        hit_plot=stacked(now["hit_rate"], ("exact", "semantic", "live", "refused"), days),
        token_plot=grouped(now["tokens"], ("saved", "generated"), days),
        latency_plot=logarithmic(now["latency"]),
        fresh_plot=histogram(now["freshness"][0]),
    )


def markdown(report: Report, review: str | None = None, *, typed: bool = True) -> str:
    """Return the report as Markdown, without its plots; not `typed`, without what visitors typed."""
    text = _text().render(**{**_words(report, review), **({} if typed else _untyped(report))})
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _untyped(report: Report) -> Mapping[str, object]:
    """Return the tables that hold what visitors typed, with their figures alone."""
    topics, feedback = report.now["topics"], report.now["feedback"]
    return {
        "topics": [{**row, "topic": None, "most_asked": None} for row in topics],
        "feedback": [
            {**row, "comments": None, "question": row["question"] if row["anticipated"] else None} for row in feedback
        ],
    }


def _words(report: Report, review: str | None) -> Mapping[str, object]:
    return {
        **report.now,
        "report": report,
        "scope": report.scope,
        "before": report.before,
        "total": report.now["totals"][0],
        "total_before": report.before["totals"][0],
        "stock": report.now["answers"][0],
        "gain": report.now["saved"][0],
        "gain_before": report.before["saved"][0],
        "expense": report.now["spent"][0],
        "collections_before": {row["collection"]: row for row in report.before["by_collection"]},
        "whole": report.scope.collections is None,
        "review": review,
        "most": _MOST_TASKS,
    }


@cache
def _page() -> jinja2.Template:
    return _template("report.html", _printed, autoescape=True)


@cache
def _text() -> jinja2.Template:
    return _template("report.md", _plain, autoescape=False)


def _template(name: str, finalize: object, *, autoescape: bool) -> jinja2.Template:
    source = resources.files("warehouse").joinpath("templates", name).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({name: source}), autoescape=autoescape, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=finalize,  # type: ignore[arg-type]
    )  # fmt: skip
    environment.filters |= {"number": number, "duration": duration, "percent": percent}
    environment.globals |= {"trend": trend, "points": points}
    return environment.get_template(name)


def _printed(value: object) -> object:
    """Return a value as the page prints it; markup from a macro is already printable."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _plain(value: object) -> object:
    """Return a value as Markdown prints it: on one line, with nothing in it that would be markup."""
    return _MARKS.sub(r"\\\1", " ".join(visible(value).split())) if isinstance(value, str) else value
