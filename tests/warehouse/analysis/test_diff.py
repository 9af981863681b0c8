from __future__ import annotations

import pytest

from tests.warehouse.conftest import key, sample_rows
from warehouse.analysis.diff import counts, diff
from warehouse.errors import TornReleaseError


@pytest.fixture
def before(publish_rows):
    return publish_rows(sample_rows())


@pytest.fixture
def compare(before, publish_rows):
    """Return a function that publishes changed rows and compares."""

    def run(rows):
        return diff(before, publish_rows(rows))

    return run


def test_a_release_does_not_differ_from_itself(before):
    assert diff(before, before) == []


def remove(rows, name):
    return {table: [row for row in content if row.get("query_key") != key(name)] for table, content in rows.items()}


def test_added_and_dropped_questions_are_listed(publish_rows, rows):
    small, large = publish_rows(remove(sample_rows(), "q3")), publish_rows(rows)
    (added,) = diff(small, large)
    (dropped,) = diff(large, small)
    assert (added.change, added.question, added.answer_before) == ("added", "What is q3?", None)
    assert (dropped.change, dropped.question, dropped.answer_after) == ("dropped", "What is q3?", None)


CAUSES = [
    ({"passages_hash": key("new")}, ["passages"]),
    ({"template_id": key("t2")}, ["prompt"]),
    ({"model_id": "m@2"}, ["model"]),
    ({"sampling": '{"t": 1}', "model_id": "m@2"}, ["model", "sampling"]),
    ({"origin": "edited"}, ["edited"]),
    ({"origin": "curated"}, ["curated"]),
    ({}, ["generated again"]),
]


@pytest.mark.parametrize(("change", "causes"), CAUSES)
def test_an_answer_that_differs_says_why(compare, rows, change, causes):
    rows["models"].append({**rows["models"][0], "model_id": "m@2"})
    rows["prompt_templates"].append({**rows["prompt_templates"][0], "template_id": key("t2")})
    rows["answers"][0] |= {"answer": "Another one [1].", **change}
    (found,) = compare(rows)
    assert found.change == "answered differently"
    assert found.causes == causes
    assert (found.answer_before, found.answer_after) == (
        "The answer to q1 is in the passage [1].", "Another one [1].",
    )  # fmt: skip


def test_the_changed_document_is_named(compare, rows):
    rows["documents"][0]["content_hash"] = key("changed")
    rows["answers"][0] |= {"answer": "Another one [1].", "passages_hash": key("new")}
    (found,) = compare(rows)
    assert (found.causes, found.documents) == (["passages"], ["d1"])


def test_a_newly_withheld_answer_says_why(compare, rows):
    rows["answers"][0] |= {"status": "withheld", "withheld_reason": "refusal"}
    (found,) = compare(rows)
    assert (found.change, found.causes) == ("withheld", ["refusal"])


def test_an_answer_that_would_be_the_same_from_a_new_prompt_is_no_difference(compare, rows):
    rows["prompt_templates"].append({**rows["prompt_templates"][0], "template_id": key("t2")})
    rows["answers"][0]["template_id"] = key("t2")
    assert compare(rows) == []


def test_differences_are_counted_by_change_and_cause(compare, rows):
    rows = remove(rows, "q3")
    for answer in rows["answers"]:
        answer |= {"answer": "Another one [1].", "passages_hash": key("new")}
    assert counts(compare(rows)) == {"answered differently": {"passages": 2}, "dropped": {"": 1}}


def test_a_torn_release_is_named(before, publish_rows, rows):
    after = publish_rows(rows)
    after.database.chmod(0o644)
    after.database.write_bytes(b"torn")
    with pytest.raises(TornReleaseError, match=after.release_id):
        diff(before, after)
