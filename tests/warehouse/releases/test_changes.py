from __future__ import annotations

from datetime import timedelta

import pytest

from tests.warehouse.conftest import NOW, forget, key, sample_rows, write_parquet
from warehouse.releases.build import abandon, begin_build
from warehouse.releases.changes import documents_of, note_changes
from warehouse.releases.load import load_release_database


@pytest.fixture
def noted(tmp_path, read):
    """Return a function that builds rows after a published release and tells what became of each answer."""
    builds = []

    def run(rows):
        build = begin_build(tmp_path / "data", "r2")
        builds.append(build)
        load_release_database(build.database, write_parquet(tmp_path / build.release_id, rows))
        counted = note_changes(build)
        found = read(build.database, "SELECT query_key[:2], change, reason FROM changes ORDER BY 1")
        return {name: (change, reason) for name, change, reason in found}, counted, build

    yield run
    for build in builds:
        abandon(build)


@pytest.fixture
def after(rows):
    rows["runs"][0]["run_id"] = rows["run_stages"][0]["run_id"] = "r2"
    rows["changes"] = []
    return rows


def test_in_the_first_release_everything_is_new(noted, after):
    changes, counted, _ = noted(after)
    assert set(changes.values()) == {("new", "new question")}
    assert counted == {"new": 3}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"passages_hash": key("other")}, "passages"),
        ({"sampling": '{"temperature": 1}'}, "sampling"),
        ({"model_id": None, "template_id": None}, "prompt, model"),
        ({"origin": "curated"}, "curated"),
    ],
)
def test_an_answer_with_another_fingerprint_says_why(noted, publish_rows, after, change, reason):
    publish_rows(sample_rows())
    after["answers"][0] |= {"fingerprint": key("new"), "run_id": "r2", **change}
    changes, counted, _ = noted(after)
    assert changes == {"q1": ("regenerated", reason), "q2": ("reused", None), "q3": ("reused", None)}
    assert counted == {"reused": 2, f"regenerated ({reason})": 1}


def test_an_answer_that_an_earlier_run_generated_is_restored(noted, publish_rows, after):
    publish_rows(sample_rows())
    after["answers"][0] |= {"fingerprint": key("new"), "run_id": "r1", "sampling": '{"temperature": 1}'}
    changes, counted, _ = noted(after)
    assert changes["q1"] == ("restored", "sampling")
    assert counted == {"reused": 2, "restored (sampling)": 1}


def test_dropped_and_new_answers_are_recorded(noted, publish_rows, after, read):
    publish_rows(sample_rows())
    after["questions"] = [row for row in after["questions"] if row["query_key"] != key("q3")]
    after["questions"].append({**after["questions"][0], "query_key": key("q4"), "question": "What is q4?"})
    for table in ("answers", "citations", "retrievals"):
        after[table] = [row for row in after[table] if row["query_key"] == key("q1")]
    after["answers"].append({**after["answers"][0], "query_key": key("q4")})
    changes, counted, build = noted(after)
    assert counted == {"reused": 1, "dropped (not answered)": 1, "dropped (question removed)": 1, "new": 1}
    assert changes == {
        "q1": ("reused", None),
        "q2": ("dropped", "not answered"),
        "q3": ("dropped", "question removed"),
        "q4": ("new", "new question"),
    }
    assert read(build.database, "SELECT dropped FROM runs WHERE run_id = 'r2'") == [(2,)]


def test_each_release_contains_the_runs_before_it(noted, publish_rows, after, read):
    publish_rows(sample_rows())
    _, _, build = noted(after)
    assert read(build.database, "SELECT run_id, stage FROM run_times ORDER BY 1") == [
        ("r1", "prepare"), ("r2", "prepare"),
    ]  # fmt: skip


def test_documents_are_returned_by_collection(database):
    assert documents_of(database) == {"main": {"d1", "d2"}}


EARLIER = NOW - timedelta(days=9)


@pytest.mark.parametrize("knows_changed_at", [True, False])
def test_a_document_keeps_the_time_at_which_its_content_was_first_seen(
    noted, publish_rows, after, read, knows_changed_at
):
    before = sample_rows()
    for document in before["documents"]:
        document.update({"read_at": EARLIER} | ({"changed_at": EARLIER} if knows_changed_at else {}))
    older = publish_rows(before)
    if not knows_changed_at:
        forget(older.database, "documents", "changed_at")
    for document in after["documents"]:
        document["changed_at"] = NOW
    after["documents"][1]["content_hash"] = key("edited")

    _, _, build = noted(after)

    assert dict(read(build.database, "SELECT document_id, changed_at FROM documents")) == {"d1": EARLIER, "d2": NOW}
