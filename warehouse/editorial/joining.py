"""Joining: two questions that turn out to want one answer become one question and its wording.

A person joins them; the ruling is kept in the log of wordings (`warehouse.editorial.wordings`) and takes effect in the
next release. It can be taken back. "Keep apart" is recorded there too, as a fence, and is not asked about again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Literal

import duckdb

from rag.filters import filters_from
from rag.identity import normalise, query_key
from warehouse.analysis.connection import connect
from warehouse.editorial.twins import Twin
from warehouse.editorial.wordings import Ruling, RulingKind, append_rulings, standing_rulings
from warehouse.errors import ReviewError

Verdict = Literal["join", "apart", "separate"]
_VERDICTS: Mapping[Verdict, RulingKind] = {"join": "wording", "apart": "fence", "separate": "withdrawn"}


def joined_to(data: Path, collection: str, question: str) -> Ruling | None:
    """Return the ruling by which a person joined a question to another, or None."""
    asked = normalise(question)
    return next(
        (
            each
            for each in standing_rulings(data)
            if each.person and each.verdict == "wording" and each.collection == collection
            if normalise(each.text) == asked
        ),
        None,
    )


def ruled_on(data: Path, twin: Twin) -> Verdict | None:
    """Return what a person ruled on two questions, or None."""
    about = (twin.collection, twin.kept_key, normalise(twin.question))
    found = next((each for each in standing_rulings(data) if each.person and each.about == about), None)
    return None if found is None else "join" if found.verdict == "wording" else "apart"


def rule(data: Path, twin: Twin, reviewer: str, verdict: Verdict) -> None:
    """Record what a person decides about two questions: join them, keep them apart, or take either back.

    Raises:
        ReviewError: the question that would be kept is itself joined to another.
    """
    if verdict == "join" and (before := joined_to(data, twin.collection, twin.kept_question)) is not None:
        raise ReviewError(
            f"{twin.kept_question!r} is itself joined to another question, since {before.since[:10]}: take that back "
            "first, or join this question to the other one."
        )
    ruling = Ruling(
        twin.collection, twin.kept_key, twin.question, _VERDICTS[verdict], "review", reviewer, person=True
    )  # fmt: skip
    append_rulings(data, [ruling])


def pair(data: Path, kept: str, other: str, collection: str | None = None) -> Twin:
    """Return two questions of the current release, named by their keys or their texts, as a pair to rule on.

    Raises:
        ReviewError: one is not in the release, or not in one place only, or both are the same.
        NoReleaseError: nothing has been published.
    """
    with closing(connect(data, described=False)) as session:
        first, second = (_found(session, named, collection) for named in (kept, other))
    if first[1] == second[1]:
        raise ReviewError("Both name the same question.")
    if first[0] != second[0] or first[3] != second[3]:
        raise ReviewError("The two questions are of different collections or filters; an answer is of one of each.")
    return Twin(second[0], second[1], second[2], first[1], first[2], "")


def joined_pair(data: Path, kept: str, other: str, collection: str | None = None) -> Twin:
    """Return a question of the current release and one that a person joined to it, which a release may have no more.

    Raises:
        ReviewError: the first is not in the release, or nobody has joined the other to it.
        NoReleaseError: nothing has been published.
    """
    with closing(connect(data, described=False)) as session:
        first = _found(session, kept, collection)
    asked = normalise(other)
    for each in standing_rulings(data):
        is_joined = each.person and each.verdict == "wording" and each.origin == "review"
        if is_joined and (each.collection, each.query_key) == (first[0], first[1]):
            key = query_key(each.collection, each.text, filters_from(json.loads(first[3])))
            if other == key or asked == normalise(each.text):
                return Twin(first[0], key, each.text, first[1], first[2], "")
    raise ReviewError(f"{other!r} is not joined to {first[2]!r}.")


def _found(session: duckdb.DuckDBPyConnection, named: str, collection: str | None) -> tuple[str, str, str, str]:
    rows = session.execute(
        "SELECT collection, query_key, question, coalesce(to_json(q)->>'filters', '{}') FROM questions q "
        "WHERE (query_key = $named OR normalised = $normalised) AND collection = coalesce($collection, collection) "
        "AND origin <> 'canary'",
        {"named": named, "normalised": normalise(named), "collection": collection},
    ).fetchall()
    if len(rows) != 1:
        what = "is no question of the current release" if not rows else "is in several collections: name one, or a key"
        raise ReviewError(f"{named!r} {what}.")
    found: tuple[str, str, str, str] = rows[0]
    return found
