"""What a session says about other releases, publications, decisions, withdrawals and the newest requests."""

from __future__ import annotations

import json
from datetime import timedelta

import duckdb
import pytest

import warehouse
from tests.warehouse.conftest import NOW, key, request, sample_rows, write_history
from warehouse.append_log import append
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.editorial.withdrawal import reinstate, withdraw
from warehouse.history.compaction import compact
from warehouse.releases.publications import publications_file
from warehouse.releases.release import current
from warehouse.releases.rollback import rollback
from warehouse.settings import HistorySettings


@pytest.fixture
def data(tmp_path, publish_rows, rows):
    publish_rows(rows)
    return tmp_path / "data"


@pytest.fixture
def two(data, publish_rows):
    """Publish a second release, with another answer from a changed document; return the ids of both."""
    first = current(data).release_id
    changed = sample_rows()
    changed["answers"][0] |= {"answer": "Another answer [1].", "fingerprint": key("new"), "passages_hash": key("p2")}
    changed["documents"][0]["content_hash"] = key("edited")
    return first, publish_rows(changed).release_id


def told(data, query, **more):
    with warehouse.connect(data, **more) as session:
        return session.execute(query).fetchall()


def test_the_answers_of_any_release_are_read_by_its_id(data, two):
    query = "SELECT answer FROM answers_of('{}') WHERE question = 'What is q1?'"
    assert [told(data, query.format(each)) for each in two] == [
        [("The answer to q1 is in the passage [1].",)], [("Another answer [1].",)],
    ]  # fmt: skip


def test_changes_between_two_releases_come_with_their_causes(data, two):
    query = "SELECT change, question, causes, documents FROM changes('{}', '{}')"
    expected = [("answered differently", "What is q1?", ["passages"], ["d1"])]
    assert told(data, query.format(*two)) == expected
    assert told(data, query.format(*reversed(two))) == expected


@pytest.mark.parametrize("query", ["FROM answers_of('nonsense')", "FROM changes('nonsense', NULL)"])
def test_a_wrong_id_is_an_error_and_not_an_empty_result(data, query):
    with pytest.raises(duckdb.Error, match="there is no release nonsense here"):
        told(data, query)


def test_an_answer_can_be_followed_through_all_releases(data, two):
    query = "SELECT release_id, answer FROM answers_by_release WHERE question = 'What is q1?' ORDER BY release_id"
    assert [release for release, _ in told(data, query)] == list(two)


def test_other_releases_can_not_be_written(data, two):
    with warehouse.connect(data) as session, pytest.raises(duckdb.Error, match="read-only"):
        session.execute(f'DELETE FROM "{two[0]}".main.answers')


def test_a_torn_release_does_not_keep_the_others_from_being_read(data, two):
    torn = data / "releases" / two[0] / "warehouse.duckdb"
    torn.chmod(0o644)
    torn.write_bytes(b"torn" * 5000)
    assert told(data, "SELECT attached FROM releases") == [(False,), (True,)]


def test_publications_and_rollbacks_are_told_with_who_and_why(data, two):
    rollback(data, two[0], by="Ada", reason="wrong prices")
    found = told(data, "SELECT action, release_id, replaced, published_by, reason, run_id FROM publications")
    assert [(action, release, replaced) for action, release, replaced, *_ in found] == [
        ("publish", two[0], None), ("publish", two[1], two[0]), ("rollback", two[0], two[1]),
    ]  # fmt: skip
    assert found[-1][3:] == ("Ada", "wrong prices", None)
    assert found[0][5] == "r1"
    assert told(data, "SELECT release_id, state, rolled_back_to, served FROM releases") == [
        (two[0], "current", 1, 3), (two[1], "published", 0, 3),
    ]  # fmt: skip


def test_releases_that_are_older_than_the_log_are_publications_too(data):
    publications_file(data).unlink()
    found = told(data, "SELECT action, release_id, reason FROM publications")
    assert found == [("publish", current(data).release_id, "not recorded")]


def decision(name, kind, reviewer="Ada", fingerprint=None, **more):
    return Decision("main", key(name), fingerprint or key(f"f-{name}"), kind, reviewer, **more)


def test_all_decisions_are_told_and_the_superseded_ones_marked(data):
    for made in (
        decision("q1", "approve"),
        decision("q1", "reject", "Grace", note="outdated"),
        decision("q2", "approve"),
        decision("q2", "approve", fingerprint=key("other")),
        decision("q3", "edit", answer="By hand."),
        decision("q3", "reconsider"),
        decision("gone", "approve"),
    ):
        append_decisions(data, [made])
    found = told(data, "SELECT question, decision, standing, reviewer, superseded_at IS NOT NULL FROM decisions")
    assert found == [
        ("What is q1?", "approve", "superseded", "Ada", True),
        ("What is q1?", "reject", "holds", "Grace", False),
        ("What is q2?", "approve", "holds", "Ada", False),
        ("What is q2?", "approve", "lapsed", "Ada", False),
        ("What is q3?", "edit", "superseded", "Ada", True),
        ("What is q3?", "reconsider", "taken back", "Ada", False),
        (None, "approve", "no such answer", "Ada", False),
    ]


def test_withdrawals_are_told_and_which_are_in_force(data):
    withdraw(data, "main", "d1", "wrong")
    reinstate(data, "main", "d1", "right again")
    withdraw(data, "main", "d2", "outdated")
    assert told(data, "SELECT document_id, action, reason, in_force FROM withdrawals") == [
        ("d1", "withdraw", "wrong", False), ("d1", "reinstate", "right again", False),
        ("d2", "withdraw", "outdated", True),
    ]  # fmt: skip


def test_records_of_other_versions_in_the_logs_are_no_error(data):
    append(
        data / "reviews.jsonl", [{"decision": "approve"}, {"query_key": 5, "decision": "reject", "reviewed_at": "?"}]
    )
    append(data / "withdrawals.jsonl", [{"action": "withdraw", "at": 5}])
    append(publications_file(data), [{"action": "publish", "at": None}])
    assert told(data, "SELECT count(*) FROM decisions, withdrawals, publications")[0][0] > 0


def write_segment(data, name, *records):
    (data / "journal").mkdir(exist_ok=True)
    lines = [json.dumps({**record, "at": record["at"].isoformat()}) + "\n" for record in records]
    (data / "journal" / name).write_text("".join(lines) + '{"kind": "requ')


def test_what_was_just_asked_is_there_while_its_segment_is_still_open(data):
    write_history(data, [request("before", "live")])
    write_segment(data, "a.jsonl.open", request("just now, me@example.org", "live"))
    write_segment(data, "b.jsonl", request("closed", "live"))
    found = told(data, "SELECT question FROM frequent_misses ORDER BY 1", redaction="redact")
    assert found == [("before",), ("closed",), ("just now, [e-mail]",)]


def test_texts_that_are_not_compacted_are_treated_as_the_last_compaction_did(data):
    write_segment(data, "a.jsonl.open", request("secret", "live"))
    asked = "SELECT question FROM requests WHERE question IS NOT NULL ORDER BY 1"
    assert told(data, asked) == []  # nothing says yet whether texts are kept
    write_segment(data, "b.jsonl", request("kept", "live"))
    compact(data, HistorySettings(redaction="off", retention_days=None))
    assert told(data, asked) == [("kept",), ("secret",)]


def test_a_segment_that_is_in_the_history_already_counts_once(data):
    write_segment(data, "a.jsonl", request("once", "live"))
    segment = (data / "journal" / "a.jsonl").read_bytes()
    compact(data, HistorySettings(retention_days=None))
    (data / "journal" / "a.jsonl").write_bytes(segment)  # as after a crash before it was deleted
    assert told(data, "SELECT count(*) FROM requests") == [(1,)]


def test_what_is_anticipated_and_withheld_is_no_miss(data, publish_rows, rows):
    rows["answers"][1] |= {"status": "withheld", "withheld_reason": "refusal"}
    publish_rows(rows)
    write_history(data, [request("q2", "live", query_key=key("q2")), request("miss", "live")])
    assert told(data, "SELECT question FROM frequent_misses") == [("miss",)]


def test_the_nearest_question_comes_with_its_own_similarity(data):
    near = [("q1", 0.6), ("q2", 0.9), ("q3", float("nan"))]
    write_history(data, [request("miss", "live", matched_key=key(q), similarity=s) for q, s in near])
    assert told(data, "SELECT nearest_question, similarity FROM frequent_misses") == [("What is q2?", 0.9)]


ASKED = {
    "How do I renew my parking permit?": 5, "Can a parking permit be renewed online?": 3, "Parking permit renewal": 1,
    "Where is the library?": 4, "When does the library open?": 2, "Is smoking allowed?": 1, "?!": 1,
}  # fmt: skip


def test_misses_are_grouped_into_named_topics(data):
    write_history(
        data, [request(question, "live", request_id=f"{n}") for question, n in ASKED.items() for _ in range(n)]
    )
    found = told(data, "SELECT topic, asked, questions, most_asked, others FROM misses_by_topic")
    assert [(topic, asked, questions) for topic, asked, questions, *_ in found[:2]] == [
        ("parking permit renew", 9, 3), ("library open", 6, 2),
    ]  # fmt: skip
    assert found[0][3] == "How do I renew my parking permit?"
    assert sum(asked for _, asked, *_ in found) == sum(ASKED.values())


def test_two_variables_narrow_all_views_of_the_history_to_a_period(data):
    write_history(data, [request("x", "live")])
    narrowed = "SET VARIABLE first_day = DATE '{}'; SELECT count(*) FROM frequent_misses"
    with warehouse.connect(data) as session:
        assert session.execute(narrowed.format(NOW.date())).fetchone() == (1,)
        assert session.execute(narrowed.format(NOW.date() + timedelta(days=1))).fetchone() == (0,)
