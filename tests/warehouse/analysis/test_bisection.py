"""Between which releases an answer changed, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouse.conftest import Publish, Rows, key, sample_rows
from warehouse.analysis.bisection import bisect
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.errors import NoReleaseError


def changed(**answer: object) -> Rows:
    rows = sample_rows()
    rows["answers"][0] |= answer
    rows["models"].append({**rows["models"][0], "model_id": "m@2"})
    return rows


def test_each_change_has_its_releases_and_its_causes(publish_rows: Publish, tmp_path: Path) -> None:
    edited = changed(answer="After the edit [1].", passages_hash=key("new"))
    edited["documents"][0] |= {"content_hash": key("edited")}
    first, same, second = publish_rows(sample_rows()), publish_rows(sample_rows()), publish_rows(edited)
    edited["answers"][0] |= {"answer": "By another model [1].", "model_id": "m@2"}
    edited["models"] = changed()["models"]
    third = publish_rows(edited)

    found = bisect(tmp_path / "data", key("q1"))

    assert (found.first.release_id, found.releases) == (first.release_id, 4)
    edit, model = found.steps
    assert (edit.before.release_id, edit.after.release_id) == (same.release_id, second.release_id)
    assert (edit.causes, edit.documents) == (("passages", "document edit"), ("d1",))
    assert (model.after.release_id, model.causes) == (third.release_id, ("model",))
    assert model.after.answer == "By another model [1]."


def test_a_question_that_became_a_wording_of_another_says_so(publish_rows: Publish, tmp_path: Path) -> None:
    joined = sample_rows()
    joined = {name: [row for row in rows if row.get("query_key") != key("q1")] for name, rows in joined.items()}
    joined["wordings"] = [
        {"collection": "main", "query_key": key("q2"), "wording_key": key("q1"), "wording": "What is q1?",
         "origin": "review", "approved_by": "Ada", "since": None}
    ]  # fmt: skip
    publish_rows(sample_rows())
    publish_rows(joined)

    (step,) = bisect(tmp_path / "data", key("q1")).steps

    assert "it became a wording of 'What is q2?'" in step.causes


def test_what_waits_for_the_budget_and_what_people_decided_are_causes(publish_rows: Publish, tmp_path: Path) -> None:
    waiting = sample_rows()
    waiting["answers"] = waiting["answers"][1:]
    waiting["citations"] = waiting["citations"][1:]
    waiting["set_aside"] = [
        {"collection": "main", "query_key": key("q1"), "question": "What is q1?", "origin": "list", "reason": "budget"}
    ]
    publish_rows(sample_rows())
    append_decisions(tmp_path / "data", [Decision("main", key("q1"), key("f-q1"), "reject", "Ada")])
    publish_rows(waiting)

    (step,) = bisect(tmp_path / "data", key("q1")).steps

    assert "beyond the budget of the run" in step.causes
    assert "decision: reject by Ada" in step.causes


def test_a_question_that_no_release_has_is_an_error(publish_rows: Publish, tmp_path: Path) -> None:
    with pytest.raises(NoReleaseError, match="there is no release"):
        bisect(tmp_path / "data", key("q9"))
    publish_rows(sample_rows())
    with pytest.raises(NoReleaseError, match="no release has this question"):
        bisect(tmp_path / "data", key("q9"))
