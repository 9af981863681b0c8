"""Asked, and nowhere written: told apart from what the model failed, in the views, the report and the review queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.warehouse.conftest import NOW, Publish, Rows, key, request, write_history
from warehouse.analysis.connection import connect
from warehouse.editorial.queue import queue
from warehouse.reporting.figures import Scope
from warehouse.reporting.report import write_report


def coverage(name: str, score: float, judged: float | None = None) -> dict[str, Any]:
    return {"collection": "main", "query_key": key(name), "score": score, "threshold": 0.4, "judged": judged}


def refuses(rows: Rows, number: int) -> None:
    rows["answers"][number] |= {"status": "withheld", "withheld_reason": "refusal", "answer": "I do not know."}


@pytest.fixture
def reasons(tmp_path: Path, publish_rows: Publish, rows: Rows) -> Callable[[], dict[str, str]]:
    def found() -> dict[str, str]:
        publish_rows(rows)
        with connect(tmp_path / "data") as session:
            return dict(session.execute("SELECT question, reason FROM gaps").fetchall())

    return found


def test_a_question_that_no_passage_fits_is_told_apart_from_one_that_the_model_failed(
    rows: Rows, reasons: Callable[[], dict[str, str]]
) -> None:
    rows["coverage"] = [coverage("q1", 0.2), coverage("q2", 0.7), coverage("q3", 0.7)]
    refuses(rows, 0)
    refuses(rows, 1)

    assert reasons() == {"What is q1?": "no_passage", "What is q2?": "model_failed"}


def test_an_answer_that_does_not_know_is_believed_a_little_above_the_limit(
    rows: Rows, reasons: Callable[[], dict[str, str]]
) -> None:
    rows["coverage"] = [coverage("q1", 0.43), coverage("q2", 0.43)]
    refuses(rows, 0)

    assert reasons() == {"What is q1?": "no_passage"}


def test_the_verdict_of_the_judge_counts_instead_of_the_score(
    rows: Rows, reasons: Callable[[], dict[str, str]]
) -> None:
    rows["coverage"] = [coverage("q1", 0.9, judged=0.1), coverage("q2", 0.1, judged=0.9), coverage("q3", 0.1, 0.8)]
    refuses(rows, 1)

    assert reasons() == {"What is q1?": "no_passage", "What is q2?": "model_failed"}


def test_canaries_and_the_team_s_own_answers_are_no_gaps(rows: Rows, reasons: Callable[[], dict[str, str]]) -> None:
    rows["coverage"] = [coverage("q1", 0.1), coverage("q2", 0.1), coverage("q3", 0.1)]
    rows["questions"][0]["origin"] = "canary"
    rows["answers"][1]["origin"] = "curated"
    rows["answers"][2]["origin"] = "edited"

    assert reasons() == {}


def test_owners_get_the_list_with_what_visitors_asked_live_most_asked_first(
    tmp_path: Path, publish_rows: Publish, rows: Rows
) -> None:
    rows["coverage"] = [coverage("q1", 0.2), coverage("q2", 0.7)]
    refuses(rows, 0)
    publish_rows(rows)
    live = {"passage_score": 0.3, "citations": '[{"document_id": "d2"}]'}
    write_history(
        tmp_path / "data",
        [
            request("Is it blue?", "live", **live),
            request("Is it blue?", "unreliable", **{**live, "passage_score": 0.42}, status=200),
            request("Is it red?", "live", passage_score=0.6),
            request("q1", "withheld", matched_key=None),
        ],
    )

    with connect(tmp_path / "data") as session:
        found = session.execute("SELECT question, asked, nearest_document, anticipated FROM unwritten").fetchall()
    write_report(tmp_path / "data", tmp_path / "report.html", scope=Scope(30, NOW))

    assert found == [("Is it blue?", 2, "d2", False), ("What is q1?", 1, "d1", True)]
    page = (tmp_path / "report.html").read_text(encoding="utf-8").partition("Asked, and nowhere written")[2]
    assert 0 < page.index("Is it blue?") < page.index("What is q1?") < page.index("Answers that did not help")


def test_what_is_nowhere_written_waits_for_a_person(tmp_path: Path, publish_rows: Publish, rows: Rows) -> None:
    rows["coverage"] = [coverage("q2", 0.2), coverage("q3", 0.7)]
    publish_rows(rows)

    (item,) = queue(tmp_path / "data", reason="nowhere written")

    assert item.question == "What is q2?"
    assert [(each.kind, each.detail) for each in item.reasons] == [
        ("nowhere written", "the nearest document is Document 1")
    ]


def test_a_release_from_before_has_no_gaps(tmp_path: Path, publish_rows: Publish, rows: Rows) -> None:
    release = publish_rows(rows)
    release.database.chmod(0o644)
    with duckdb.connect(str(release.database)) as connection:
        connection.execute("DROP TABLE coverage; DROP TABLE findings")
    write_report(tmp_path / "data", tmp_path / "report.html", scope=Scope(30, NOW))

    with connect(tmp_path / "data") as session:
        assert session.execute("SELECT count(*) FROM unwritten").fetchall() == [(0,)]
    assert queue(tmp_path / "data") == []
