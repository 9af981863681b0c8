from __future__ import annotations

import pytest

from tests.warehouse.conftest import key, sample_rows, write_parquet
from warehouse.analysis.diff import diff
from warehouse.analysis.release_summary import describe_differences, describe_release
from warehouse.audit.release_audit import Check
from warehouse.releases.build import begin_build, fail
from warehouse.releases.load import load_release_database


def test_a_release_is_described(publish_rows, rows):
    rows["answers"][0] |= {"status": "withheld", "withheld_reason": "refusal"}
    rows["doubts"] = [{"collection": "main", "query_key": key("q2"), "fingerprint": "f", "reason": "little"}]
    release = publish_rows(rows)
    text = describe_release(release)
    for line in (
        f"release    {release.release_id}",
        "contents   2 documents, 2 chunks, 3 questions",
        "answers    2 served, 1 withheld, 1 doubtful",
        "withheld   1 refusal",
        "changes    3 new (new question)",
    ):
        assert line in text.splitlines()


def test_a_failed_build_says_which_check_failed(tmp_path, rows):
    build = begin_build(tmp_path / "data", "r1")
    load_release_database(build.database, write_parquet(tmp_path / "s", rows))
    check = Check("empty", passed=False, figure=0.1, allowed=0.05, explanation="7 of 70 generated answers are empty.")
    text = describe_release(fail(build, "empty", {"audit": [check.as_row()]}))
    assert "(failed, not published)" in text
    assert "  FAILED  7 of 70 generated answers are empty." in text


@pytest.fixture
def differences(publish_rows, rows):
    before = publish_rows(sample_rows())
    rows["answers"] = [row | {"answer": "New.", "passages_hash": key("new")} for row in rows["answers"]]
    return diff(before, publish_rows(rows))


def test_differences_are_counted_and_listed_with_their_causes(differences):
    text = describe_differences(differences, full=False)
    assert text.splitlines()[0] == "3 answered differently: 3 passages"
    assert "answered differently (passages): What is q1?" in text
    assert "New." not in text


def test_the_full_listing_shows_both_answers(differences):
    text = describe_differences(differences, full=True)
    assert "  - The answer to q1 is in the passage [1].\n  + New." in text


def test_a_long_list_is_cut_unless_all_is_requested(differences):
    many = differences * 10
    assert "and 10 more" in describe_differences(many, full=False)
    assert "more" not in describe_differences(many, full=True)


def test_two_equal_releases_are_said_to_answer_alike():
    assert describe_differences([], full=True) == "the two releases answer alike"
