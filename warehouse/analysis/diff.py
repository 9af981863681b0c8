"""Compares two releases: questions added and dropped, answers that differ, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from warehouse.analysis.other_releases import define_by_release
from warehouse.releases.load import attach
from warehouse.releases.release import Release
from warehouse.sql import prepare


@dataclass(frozen=True)
class Difference:
    """A question whose answer differs between two releases.

    `change` is added, dropped, answered differently, or, for the same text with another status, served or withheld.
    `causes` are passages, prompt, model, sampling, curated, edited, or the reason for withholding; `documents` are the
    cited documents that changed.
    """

    change: str
    collection: str
    question: str
    query_key: str
    answer_before: str | None
    answer_after: str | None
    status_before: str | None
    status_after: str | None
    causes: list[str]
    documents: list[str]


def diff(before: Release, after: Release) -> list[Difference]:
    """Compare two releases, question by question.

    Raises:
        TornReleaseError: the tables of a release can't be opened.
    """
    with duckdb.connect() as connection:
        prepare(connection)
        attach(connection, before.database, "before")
        attach(connection, after.database, "after")
        define_by_release(connection, {"before": "before", "after": "after"})
        rows = connection.execute("FROM changes('before', 'after')").fetchall()
    return [Difference(*row) for row in rows]


def counts(differences: Iterable[Difference]) -> dict[str, dict[str, int]]:
    """Count differences by change and then by joined causes, "" for none."""
    found: dict[str, Counter[str]] = {}
    for each in differences:
        found.setdefault(each.change, Counter())[", ".join(each.causes)] += 1
    return {change: dict(counter.most_common()) for change, counter in found.items()}
