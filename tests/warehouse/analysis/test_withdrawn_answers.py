"""SQL follows withdrawals, and feedback knows the collection of its request."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.warehouse.conftest import NOW, key, request, sample_rows, write_history
from warehouse.analysis.connection import connect
from warehouse.editorial.withdrawal import reinstate, withdraw


@pytest.fixture
def data(tmp_path, publish_rows):
    rows = sample_rows()
    rows["citations"][2] |= {"chunk_id": key("c2"), "document_id": "d2"}
    publish_rows(rows)
    return tmp_path / "data"


def query(data, statement):
    with closing(connect(data)) as session:
        return session.execute(statement).fetchall()


COUNTS = {
    "SELECT count(*) FROM answers WHERE status = 'served'": (3, 1),
    "SELECT sum(answers)::INT FROM freshness WHERE status = 'served'": (3, 1),
    "SELECT count(*) FROM answers_with_citations WHERE status = 'served'": (3, 1),
    "SELECT count(*) FROM suspicious_answers": (0, 2),
    "SELECT count(*) FROM contents WHERE name = 'answers'": (1, 1),
}


@pytest.mark.parametrize("statement", COUNTS)
def test_answers_that_rest_on_a_withdrawn_document_count_as_served_no_more(data, statement):
    before, after = COUNTS[statement]
    assert query(data, statement) == [(before,)]

    withdraw(data, "main", "d1", "legal")

    assert query(data, statement) == [(after,)]
    reinstate(data, "main", "d1", "settled")
    assert query(data, statement) == [(before,)]


def test_the_reason_is_the_withdrawal(data):
    withdraw(data, "main", "d2", "legal")

    assert query(data, "SELECT query_key, withheld_reason FROM answers WHERE status = 'withheld'") == [
        (key("q3"), "a document that it rests on is withdrawn")
    ]


def test_feedback_without_a_collection_has_that_of_its_request(data):
    hit = request("What is q2?", "exact", matched_key=key("q2"))
    votes = [{"kind": "feedback", "request_id": hit["request_id"], "at": NOW, "helpful": False} for _ in range(3)]
    lost = {"kind": "feedback", "request_id": "unknown", "at": NOW, "helpful": False}
    write_history(data, [hit, *votes, lost])

    assert query(data, "SELECT collection, count(*) FROM feedback GROUP BY ALL ORDER BY ALL NULLS LAST") == [
        ("main", 3), (None, 1),
    ]  # fmt: skip
    assert query(data, "SELECT collection, question, unhelpful FROM poor_feedback ORDER BY ALL LIMIT 1") == [
        ("main", "What is q2?", 3)
    ]


def test_a_request_id_that_two_collections_share_tells_no_collection(data):
    hit = request("What is q2?", "exact", matched_key=key("q2"))
    vote = {"kind": "feedback", "request_id": hit["request_id"], "at": NOW, "helpful": False}
    write_history(data, [hit, hit | {"collection": "other"}, vote])

    assert query(data, "SELECT collection FROM feedback") == [(None,)]
