from __future__ import annotations

import json
import shutil
from datetime import timedelta

import duckdb
import pyarrow.parquet as pq
import pytest

import warehouse
from tests.warehouse.conftest import NOW, forget, key, request, sample_rows, write_history
from warehouse.editorial.queue import queue
from warehouse.errors import NoReleaseError, TornReleaseError
from warehouse.history.compaction import compact
from warehouse.releases.release import current
from warehouse.settings import CostSettings, HistorySettings


@pytest.fixture
def data(tmp_path, publish_rows, rows):
    publish_rows(rows)
    return tmp_path / "data"


@pytest.fixture
def session(data):
    with warehouse.connect(data) as session:
        yield session


def test_the_release_needs_no_prefix_in_queries(session):
    assert session.execute("SELECT count(*) FROM answers").fetchone() == (3,)
    assert session.execute("SELECT question FROM cited_passages ORDER BY 1").fetchone() == ("What is q1?",)


def test_without_history_its_views_are_empty(session):
    views = session.execute("SELECT name FROM contents WHERE origin = 'memory' AND kind = 'view'").fetchall()
    assert len(views) > 8
    for (view,) in views:
        if view not in ("contents", "run_costs", "releases") and not view.endswith("_by_release"):
            assert session.execute(f"SELECT * FROM {view}").fetchall() == [], view


UNEXPLAINED = """
    SELECT table_name FROM duckdb_tables() WHERE NOT internal AND comment IS NULL
    UNION ALL
    SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL
    UNION ALL
    SELECT table_name || '.' || column_name FROM duckdb_columns()
    WHERE NOT internal AND comment IS NULL AND table_name <> 'journal_files'  -- what the view history is made of
"""


def test_every_table_view_and_column_of_a_session_is_explained(session):
    assert session.execute(UNEXPLAINED).fetchall() == []


def test_every_table_view_and_column_of_a_release_that_is_opened_plainly_is_explained(data):
    with duckdb.connect(str(current(data).database), read_only=True) as plain:
        assert plain.execute(UNEXPLAINED).fetchall() == []
        (count,) = plain.execute("SELECT count(*) FROM duckdb_columns() WHERE comment IS NOT NULL").fetchone()
    assert count > 180


def test_the_columns_of_requests_are_explained_as_those_of_the_history(session):
    query = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY 1"
    history, requests = (session.execute(query, [view]).fetchall() for view in ("history", "requests"))
    assert history == requests
    assert ("recorded_at", "When it was recorded (UTC).") in history


FORBIDDEN = [
    "DELETE FROM answers",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE VIEW release.main.mine AS SELECT 1",
    "COPY (SELECT 1) TO '{data}/history/day=2026-11-20/evil.parquet'",
    "COPY (SELECT 1) TO '{data}/evil.csv'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_parquet('{data}/history/**/*.parquet')",
    "ATTACH '{data}/other.duckdb'",
    "EXPORT DATABASE '{data}/history'",
    "INSTALL httpfs",
    "LOAD '{data}/evil.so'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET memory_limit = '1GB'",
    "SELECT * FROM secret",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_a_session_can_neither_write_nor_read_anything_else(data, statement):
    secret = [("a Python variable",)]
    write_history(data, [request("x", "live")])
    before = sorted(data.rglob("*"))
    with warehouse.connect(data) as session, pytest.raises(duckdb.Error):
        session.execute(statement.format(data=data)).fetchall()
    assert sorted(data.rglob("*")) == before
    assert secret


def test_sessions_builds_and_other_processes_do_not_wait_for_each_other(data, session, publish_rows):
    changed = sample_rows()
    changed["answers"][0]["answer"] = "A new answer."
    publish_rows(changed)
    with warehouse.connect(data) as later:
        newest = later.execute("SELECT answer FROM answers WHERE query_key = ?", [key("q1")]).fetchone()
    oldest = session.execute("SELECT answer FROM answers WHERE query_key = ?", [key("q1")]).fetchone()
    assert newest == ("A new answer.",)
    assert oldest == ("The answer to q1 is in the passage [1].",)


def test_an_older_release_can_be_opened(data, publish_rows, rows):
    first = current(data).release_id
    rows["answers"][0]["answer"] = "A new answer."
    publish_rows(rows)
    with warehouse.connect(data, first) as session:
        assert session.execute("SELECT count(*) FROM answers WHERE answer = 'A new answer.'").fetchone() == (0,)


def test_without_a_release_the_message_says_what_to_do(tmp_path):
    with pytest.raises(NoReleaseError, match="beforehand run"):
        warehouse.connect(tmp_path)


def test_a_torn_database_is_named(data):
    database = current(data).database
    database.chmod(0o644)
    database.write_bytes(b"torn" * 5000)
    with pytest.raises(TornReleaseError, match="tables can't be opened"):
        warehouse.connect(data)


def test_times_are_shown_in_utc(session):
    assert str(session.execute("SELECT generated_at FROM answers").fetchone()[0]) == "2026-11-20 12:00:00+00:00"


HISTORY = [
    request("q1", "exact", matched_key=key("q1"), fingerprint=key("f-q1")),
    request("q1 again", "semantic", matched_key=key("q1"), similarity=0.93),
    request("miss", "live", llm_seconds=2.0, total_seconds=2.5, matched_key=key("q2"), similarity=0.7,
            refusal="numbers differ"),
    request("miss", "live", llm_seconds=4.0, total_seconds=4.5, at=NOW + timedelta(hours=1)),
    {"kind": "feedback", "request_id": "id-q1-exact", "at": NOW, "collection": "main", "helpful": False,
     "comment": "Wrong."},
    {"kind": "feedback", "request_id": "id-q1 again-semantic", "at": NOW, "collection": "main", "helpful": True},
    {"kind": "comparison", "request_id": "c1", "at": NOW, "collection": "main", "agrees": False},
    {"kind": "comparison", "request_id": "c2", "at": NOW, "collection": "main", "agrees": True},
]  # fmt: skip

TOLD = [
    ("SELECT source, requests, share FROM hit_rate ORDER BY 1",
     [("exact", 1, 0.25), ("live", 2, 0.5), ("semantic", 1, 0.25)]),
    ("SELECT p50_seconds, llm_seconds FROM latency WHERE source = 'live'", [(3.5, 3.0)]),
    ("SELECT question, asked, nearest_question, similarity FROM frequent_misses",
     [("miss", 2, "What is q2?", 0.7)]),
    ("SELECT question, candidate, refusal FROM near_misses", [("miss", "What is q2?", "numbers differ")]),
    ("SELECT question, unhelpful, helpful, comments FROM poor_feedback",
     [("What is q1?", 1, 1, ["Wrong."])]),
    ("SELECT compared, disagreed, error_rate FROM semantic_comparisons", [(2, 1, 0.5)]),
    ("SELECT hits, tokens_saved, gpu_seconds_saved FROM gpu_time_saved", [(2, 20.0, 60.0)]),
    ("SELECT generated, cost, currency FROM run_costs", [(1, 3.0 / 3600 * 6.0, "CHF")]),
    ("SELECT DISTINCT day FROM history", [(NOW.date(),)]),
    ("SELECT max(recorded_at) FROM requests", [(NOW + timedelta(hours=1),)]),
    ("SELECT last_asked FROM frequent_misses", [(NOW + timedelta(hours=1),)]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), TOLD)
def test_history_and_release_can_be_queried_together(data, query, expected):
    write_history(data, HISTORY)
    cost = CostSettings(gpu_hour=6.0, currency="CHF")
    with warehouse.connect(data, cost=cost) as session:
        found = session.execute(query).fetchall()
    assert found == [pytest.approx(row) if isinstance(row[-1], float) else row for row in expected]


def test_tokens_of_a_batch_cost_half_and_waiting_for_it_costs_nothing(tmp_path, publish_rows, rows):
    rows["runs"][0] |= {"prompt_tokens": 3_000_000, "completion_tokens": 300_000, "generation_seconds": 1800.0}
    rows["runs"][0] |= {"batched_prompt_tokens": 2_000_000, "batched_completion_tokens": 200_000}
    publish_rows(rows)
    cost = CostSettings(gpu_hour=1.0, prompt_million=2.0, completion_million=10.0)
    with warehouse.connect(tmp_path / "data", cost=cost) as session:
        found = session.execute("SELECT cost, tokens_a_second FROM run_costs").fetchone()
    assert found == pytest.approx((0.5 + 2.0 * (1 + 2 / 2) + 10.0 * (0.1 + 0.2 / 2), 100_000 / 1800))


def feedback(request_id, collection="main", **more):
    return {"kind": "feedback", "request_id": request_id, "at": NOW, "collection": collection, "helpful": False, **more}


def test_feedback_counts_for_the_answer_in_its_own_collection(data):
    """Callers choose their request ids, so those of two collections may be equal."""
    write_history(data, [
        request("a secret of theirs", "live", request_id="42", collection="other", answer="Hidden."),
        feedback("42"),
    ])  # fmt: skip
    with warehouse.connect(data) as session:
        assert session.execute("SELECT collection, question, answer FROM poor_feedback").fetchall() == [
            ("main", None, None)
        ]


def test_feedback_on_a_live_answer_does_not_count_against_the_nearest_anticipated_question(data):
    write_history(data, [
        request("miss", "live", request_id="43", matched_key=key("q2"), answer="A live answer."), feedback("43"),
    ])  # fmt: skip
    with warehouse.connect(data) as session:
        assert session.execute("SELECT question, answer FROM poor_feedback").fetchall() == [("miss", "A live answer.")]


def test_an_invalid_question_is_no_miss(data):
    write_history(data, [
        request("", "refused", status=422, refusal="invalid"),
        request("too many", "refused", status=429, refusal="queue-full"),
    ])  # fmt: skip
    with warehouse.connect(data) as session:
        assert session.execute("SELECT question FROM frequent_misses").fetchall() == [("too many",)]


def test_history_written_by_an_older_version_is_read(data):
    write_history(data, HISTORY)
    path = next((data / "history").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None).drop_columns(["agrees", "comment"])
    pq.write_table(table, path)
    with warehouse.connect(data) as session:
        assert session.execute("SELECT count(*), count(comment) FROM history").fetchone() == (8, 0)


@pytest.mark.parametrize("mapped_days", [60, 0])
def test_a_history_of_many_days_can_be_read(data, monkeypatch, mapped_days):
    monkeypatch.setattr("warehouse.analysis.journal._MAPPED_DAYS", mapped_days)
    write_history(data, HISTORY)
    day = data / "history" / f"day={NOW.date()}"
    shutil.copytree(day, data / "history" / f"day={NOW.date() - timedelta(days=1)}")
    with warehouse.connect(data) as session:
        found = session.execute("SELECT day, count(*) FROM history GROUP BY day ORDER BY day").fetchall()
    assert found == [(NOW.date() - timedelta(days=1), 8), (NOW.date(), 8)]


def test_a_session_does_not_change_while_the_history_is_compacted(data):
    def add(number):
        lines = [
            {"kind": "request", "request_id": f"{number}", "at": NOW.isoformat(), "question": "q" * number}
            for _ in range(number)
        ]
        (data / "journal").mkdir(exist_ok=True)
        (data / "journal" / f"s{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        compact(data, HistorySettings(retention_days=None))

    add(1)
    count = "SELECT count(*), sum(length(question)) FROM history"
    with warehouse.connect(data) as session:
        assert session.execute(count).fetchone() == (1, 1)
        add(500)
        assert session.execute(count).fetchone() == (1, 1)
        assert session.execute("SELECT count(*) FROM history WHERE question LIKE 'qq%'").fetchone() == (0,)
    with warehouse.connect(data) as session:
        assert session.execute(count).fetchone() == (501, 250_001)


def test_a_session_does_not_change_while_old_days_are_deleted(data):
    write_history(data, [request("x", "live")])
    template = data / "history" / f"day={NOW.date()}"
    for age in range(1, 135):
        shutil.copytree(template, data / "history" / f"day={NOW.date() - timedelta(days=age)}")
    count = "SELECT count(*), count(DISTINCT day), min(question) FROM requests"
    with warehouse.connect(data) as session:
        done = compact(data, HistorySettings(retention_days=100), today=NOW.date())
        assert done.expired_days == 34
        assert session.execute(count).fetchone() == (135, 135, "x")
    with warehouse.connect(data) as session:
        assert session.execute(count).fetchone() == (101, 101, "x")


def test_the_answers_that_cite_a_document_edited_since_are_one_query(data, publish_rows, rows):
    rows["documents"][0]["changed_at"] = NOW - timedelta(days=1)
    rows["documents"][1]["changed_at"] = NOW - timedelta(days=30)
    rows["citations"][2] |= {"document_id": "d2", "chunk_id": key("c2")}
    publish_rows(rows)
    with warehouse.connect(data) as session:
        found = session.execute(
            "SELECT question FROM cited_passages WHERE changed_at > ? ORDER BY 1", [NOW - timedelta(days=7)]
        )
        assert found.fetchall() == [("What is q1?",), ("What is q2?",)]


def test_metadata_is_shown_with_documents_questions_and_answers(data, publish_rows, rows):
    rows["documents"][0] |= {"metadata": {"tags": ["a", "b"]}, "url": "https://e.example/a"}
    rows["questions"][0] |= {"metadata": {"product": ["Shop"]}, "weight": 2.0}
    publish_rows(rows)
    with warehouse.connect(data) as session:
        assert session.execute("SELECT document_id, field, value FROM document_metadata ORDER BY 3").fetchall() == [
            ("d1", "tags", "a"),
            ("d1", "tags", "b"),
        ]
        assert session.execute("SELECT question, value FROM question_metadata").fetchall() == [("What is q1?", "Shop")]
        [(citations, metadata, weight)] = session.execute(
            "SELECT citations, metadata, weight FROM answers_with_citations WHERE question = 'What is q1?'"
        ).fetchall()
    assert (metadata, weight) == ({"product": ["Shop"]}, 2.0)
    assert (citations[0]["url"], citations[0]["metadata"]) == ("https://e.example/a", {"tags": ["a", "b"]})


def test_a_release_that_is_older_than_some_columns_has_them_empty(data):
    database = current(data).database
    forget(database, "documents", "metadata", "changed_at")
    forget(database, "questions", "weight", "owner")
    with warehouse.connect(data) as session:
        assert session.execute("SELECT DISTINCT metadata, changed_at FROM documents").fetchall() == [(None, None)]
        assert session.execute("SELECT count(*) FROM questions WHERE owner IS NULL AND question <> ''").fetchone() == (
            3,
        )
    assert queue(data) == []
