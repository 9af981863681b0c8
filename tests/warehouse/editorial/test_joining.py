"""Two questions with one answer are shown, and a person joins them."""

from __future__ import annotations

import pytest

from tests.warehouse.conftest import key
from warehouse.editorial.joining import joined_pair, joined_to, pair, rule, ruled_on
from warehouse.editorial.queue import queue
from warehouse.editorial.wordings import Ruling, append_rulings, standing_rulings
from warehouse.errors import ReviewError


@pytest.fixture
def data(tmp_path, publish_rows, rows):
    rows["answers"][1]["answer"] = rows["answers"][0]["answer"]
    publish_rows(rows)
    return tmp_path / "data"


def waiting(data):
    return [(item.question, reason.detail) for item in queue(data, reason="same answer") for reason in item.reasons]


def test_the_queue_shows_questions_with_one_answer_until_a_person_rules(data):
    [(later, detail)] = waiting(data)
    assert {later, detail} < {"What is q1?", "What is q2?", *(f"the same answer as 'What is q{n}?'" for n in (1, 2))}

    twin = pair(data, "What is q1?", key("q2")) if later == "What is q2?" else pair(data, "what is q2", key("q1"))
    rule(data, twin, "Ada", "join")
    assert waiting(data) == []
    assert ruled_on(data, twin) == "join"

    rule(data, twin, "Ada", "separate")
    assert len(waiting(data)) == 1
    rule(data, twin, "Ada", "apart")
    assert waiting(data) == []
    assert joined_to(data, "main", twin.question) is None


def test_questions_are_not_joined_in_a_circle_or_to_themselves(data):
    rule(data, pair(data, "What is q1?", "What is q2?"), "Ada", "join")
    with pytest.raises(ReviewError, match="itself joined"):
        rule(data, pair(data, "What is q2?", "What is q1?"), "Ada", "join")
    with pytest.raises(ReviewError, match="same question"):
        pair(data, "What is q1?", key("q1"))
    with pytest.raises(ReviewError, match="no question of the current release"):
        pair(data, "What is q9?", "What is q1?")


def test_a_joining_is_taken_back_where_the_release_has_the_joined_question_no_more(data):
    append_rulings(data, [Ruling("main", key("q1"), "What was q9?", "wording", "review", "Ada", person=True)])
    with pytest.raises(ReviewError, match="is no question of the current release"):
        pair(data, "What is q1?", "What was q9?")

    twin = joined_pair(data, "What is q1?", "what was q9")
    rule(data, twin, "Ada", "separate")

    assert standing_rulings(data) == []
    with pytest.raises(ReviewError, match="'What was q9\\?' is not joined to 'What is q1\\?'"):
        joined_pair(data, "What is q1?", "What was q9?")
