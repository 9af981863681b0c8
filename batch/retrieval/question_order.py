"""The order in which the FAQ page lists the questions of a collection: what is asked most comes first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypedDict

_LINE = re.compile(r"(.*):(\d+)")


class ListedQuestion(TypedDict):
    """The columns of the questions table that a list of questions and their index are made of."""

    collection: str
    query_key: str
    question: str
    origin: str
    detail: str
    weight: float
    filters: dict[str, str]


def in_page_order(rows: Iterable[ListedQuestion], asked: Mapping[str, int]) -> list[ListedQuestion]:
    """Sort questions by their weight times how often they were asked; equal ones as the team's lists have them.

    `asked` is by query key. A question that was never asked counts as if it had been asked once, so that the team's
    weights decide where there is no history.
    """

    def place(row: ListedQuestion) -> tuple[float, bool, str, int, str]:
        line = _LINE.fullmatch(row["detail"] or "")
        file, number = (line[1], int(line[2])) if line else (row["detail"] or "", 0)
        worth = row["weight"] * (1 + asked.get(row["query_key"], 0))
        return -worth, row["origin"] in ("journal", "corpus"), file, number, row["query_key"]

    return sorted(rows, key=place)
