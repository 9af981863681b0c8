"""Visitors' questions: who may anticipate them, and who lets them be listed."""

from __future__ import annotations

from datetime import timedelta

import pytest

import warehouse
from tests.warehouse.conftest import NOW, key, request, sample_rows, write_history
from warehouse.editorial.listing import Listings, list_question
from warehouse.editorial.unlisted import unlisted_questions
from warehouse.releases.serving_index import ServingIndex
from warehouse.sql import sql_text


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def visited(publish_rows):
    """A release in which visitors asked for q1 and q2."""
    rows = sample_rows()
    for row in rows["questions"][:2]:
        row["origin"] = "journal"
    return publish_rows(rows)


def test_the_questions_of_visitors_wait_for_a_person_most_asked_first(data, visited):  # noqa: ARG001
    write_history(data, [request("q2", "exact"), request("q2", "exact"), request("q1", "exact")])
    waiting = unlisted_questions(data)
    assert [(each.query_key, each.question, each.asked) for each in waiting] == [
        (key("q2"), "What is q2?", 2),
        (key("q1"), "What is q1?", 1),
    ]
    assert waiting[0].answer == "The answer to q2 is in the passage [1]."


@pytest.mark.parametrize("listed", [True, False])
def test_what_a_person_decided_waits_no_more(data, visited, listed):  # noqa: ARG001
    list_question(data, "main", key("q1"), "Ada", listed=listed)
    assert [each.query_key for each in unlisted_questions(data)] == [key("q2")]
    assert (key("q1") in Listings(data).approved()) == listed


def test_a_running_server_notices_an_approval_and_that_it_is_taken_back(data):
    server = Listings(data)
    assert not server.follow()
    list_question(data, "main", key("q1"), "Ada")
    assert server.follow()
    assert server.approves(key("q1"))
    list_question(data, "main", key("q1"), "Ben", listed=False)
    assert server.follow()
    assert not server.approves(key("q1"))


def test_the_serving_index_names_the_questions_of_visitors(visited):
    with ServingIndex(visited.path / "serving.lmdb") as index:
        assert index.asked_by_visitors == {key("q1"), key("q2")}


def found(data, least_askers=3, often=2, approved=()):
    with warehouse.connect(data) as session:
        parameters = {"often": often, "least_askers": least_askers, "approved": list(approved)}
        return {row[1] for row in session.execute(sql_text("journal_questions.sql"), parameters).fetchall()}


def asked(question, **more):
    return request(question, "live", **more)


def test_a_question_is_anticipated_from_a_floor_of_different_askers_on(data, publish_rows):
    publish_rows(sample_rows())
    write_history(
        data,
        [asked("alone", asker="h1") for _ in range(9)]
        + [asked("two", asker=each) for each in ("h1", "h2", "h2")]
        + [asked("three", asker=each) for each in ("h1", "h2", "h3")]
        + [asked("keys", key_id=each, asker=each) for each in ("web", "app", "shop")]
        + [asked("mixed", key_id="web", asker="web"), asked("mixed", asker="h1"), asked("mixed", asker="h2")]
        + [asked("one key", key_id="web", asker="web") for _ in range(9)]
        + [asked("of old") for _ in range(9)],
    )
    assert found(data) == {"three", "keys", "mixed"}
    assert found(data, least_askers=2) == {"two", "three", "keys", "mixed"}
    assert "of old" in found(data, least_askers=1)


def test_a_visitor_of_three_days_is_no_three_askers(data, publish_rows):
    """The hash of an address changes every day, so the askers of different days can't be told apart."""
    publish_rows(sample_rows())
    for day in range(3):
        folder = data / "history" / f"day={(NOW + timedelta(days=day)).date()}"
        folder.mkdir(parents=True)
    write_history(data, [asked("slow", asker="h1")])
    source = data / "history" / f"day={NOW.date()}" / "history.parquet"
    for day, asker in ((1, "h2"), (2, "h3")):
        write_history(data / "other", [asked("slow", asker=asker, at=NOW + timedelta(days=day))])
        written = data / "other" / "history" / f"day={NOW.date()}" / "history.parquet"
        written.replace(data / "history" / f"day={(NOW + timedelta(days=day)).date()}" / "history.parquet")
    assert source.exists()
    assert found(data, often=3) == set()
    assert found(data, often=3, least_askers=1) == {"slow"}


def test_a_served_question_of_visitors_stays_while_enough_askers_are_known_or_it_is_approved(data, visited):  # noqa: ARG001
    write_history(data, [request("q1", "exact", asker=each) for each in ("h1", "h2", "h3")])
    assert found(data) == {"What is q1?"}
    assert found(data, approved=[key("q2")]) == {"What is q1?", "What is q2?"}
