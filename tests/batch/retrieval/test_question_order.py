"""The FAQ page's order: by weight and demand, else as the team's lists have it."""

from __future__ import annotations

from typing import Any

from batch.retrieval.question_order import in_page_order
from warehouse.tables import QuestionRow


def row(
    name: str, line: int = 1, weight: float = 1.0, origin: str = "list", file: str = "questions.txt"
) -> QuestionRow:
    fields: dict[str, Any] = {"query_key": name, "detail": f"{file}:{line}", "weight": weight, "origin": origin}
    return fields  # type: ignore[return-value]  # what the order looks at


def order(*rows: QuestionRow, **asked: int) -> list[str]:
    return [each["query_key"] for each in in_page_order(rows, asked)]


def test_what_is_asked_most_comes_first() -> None:
    assert order(row("a"), row("b"), row("c"), b=3, c=8) == ["c", "b", "a"]


def test_a_weight_counts_as_much_as_being_asked() -> None:
    assert order(row("a"), row("b", weight=5), row("c", weight=0), a=2, c=100) == ["b", "a", "c"]


def test_questions_that_nothing_tells_apart_stand_as_in_the_teams_lists() -> None:
    assert order(row("a", 10), row("b", 9), row("c", 2)) == ["c", "b", "a"]


def test_the_teams_questions_come_before_proposed_ones() -> None:
    assert order(row("a", origin="corpus", file="chunk"), row("b", 7)) == ["b", "a"]
