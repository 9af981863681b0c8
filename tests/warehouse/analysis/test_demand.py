"""How often questions are asked, from the history of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.warehouse.conftest import NOW, key, write_history
from warehouse.analysis.demand import demand


def asked(question: str, **more: Any) -> dict[str, Any]:
    return {"kind": "request", "query_key": key(question), "source": "exact", "at": NOW, **more}


def test_requests_of_keys_count_each_and_an_anonymous_client_once_a_day(tmp_path: Path) -> None:
    by_key = [asked("q1", key_id="desk", asker="desk")] * 3
    by_one = [asked("q2", asker="hash")] * 5
    by_others = [asked("q3", asker="hash"), asked("q3", asker="other")]
    write_history(tmp_path, [*by_key, *by_one, *by_others])

    assert demand(tmp_path) == {key("q1"): 3, key("q2"): 1, key("q3"): 2}


def test_a_semantic_hit_counts_for_the_question_that_answered_it(tmp_path: Path) -> None:
    write_history(tmp_path, [asked("typed", source="semantic", matched_key=key("q1"), asker="a")])

    assert demand(tmp_path) == {key("q1"): 1}


def test_feedback_is_no_request_and_without_a_history_nothing_was_asked(tmp_path: Path) -> None:
    assert demand(tmp_path) == {}

    write_history(tmp_path, [asked("q1") | {"kind": "feedback"}])

    assert demand(tmp_path) == {}
