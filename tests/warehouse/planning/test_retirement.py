"""Questions that nobody asks retire, and come back when they are asked again."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from warehouse.planning.retirement import note_anticipated, retired

TODAY = date(2026, 11, 26)
BOTH = [("main", "asked"), ("main", "unasked")]


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def test_a_question_retires_when_nobody_asked_it_for_so_many_nights(tmp_path: Path) -> None:
    note_anticipated(tmp_path, BOTH, ["main"], ago(40))
    asked = {"asked": {ago(3): 1}}

    found = retired(tmp_path, asked, {"main": 30}, TODAY)

    assert list(found) == ["unasked"]
    assert (found["unasked"].since, found["unasked"].last_asked) == (ago(40), None)
    assert retired(tmp_path, asked, {"main": 40}, TODAY) == {}
    assert retired(tmp_path, asked, {"other": 1}, TODAY) == {}


def test_one_that_is_asked_again_is_back_for_as_many_nights(tmp_path: Path) -> None:
    note_anticipated(tmp_path, BOTH, ["main"], ago(90))
    asked = {"asked": {ago(1): 1}, "unasked": {ago(10): 1}}

    assert retired(tmp_path, asked, {"main": 30}, TODAY) == {}
    assert list(retired(tmp_path, asked, {"main": 30}, TODAY + timedelta(days=25))) == ["unasked"]


def test_a_question_that_is_asked_in_one_of_its_wordings_does_not_retire_and_comes_back(tmp_path: Path) -> None:
    note_anticipated(tmp_path, BOTH, ["main"], ago(90), {"asked": ["reworded"]})
    note_anticipated(tmp_path, BOTH, ["main"], ago(60), {"asked": ["said otherwise"]})

    assert list(retired(tmp_path, {"reworded": {ago(3): 1}}, {"main": 30}, TODAY)) == ["unasked"]
    assert list(retired(tmp_path, {"said otherwise": {ago(3): 1}}, {"main": 30}, TODAY)) == ["unasked"]
    assert sorted(retired(tmp_path, {}, {"main": 30}, TODAY)) == ["asked", "unasked"]


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "anticipated.jsonl").write_text('{"collection": "main", "query_key": "old", "since": "2026-01-01"}\n')

    note_anticipated(tmp_path, [("main", "old")], ["main"], TODAY, {"old": ["reworded"]})

    assert retired(tmp_path, {"reworded": {ago(1): 1}}, {"main": 30}, TODAY) == {}
    assert retired(tmp_path, {}, {"main": 30}, TODAY)["old"].since == date(2026, 1, 1)


def test_noting_the_same_questions_again_changes_nothing(tmp_path: Path) -> None:
    note_anticipated(tmp_path, BOTH, ["main"], ago(40))
    before = (tmp_path / "anticipated.jsonl").read_text()

    note_anticipated(tmp_path, BOTH, ["main"], TODAY)

    assert (tmp_path / "anticipated.jsonl").read_text() == before


def test_a_question_that_left_the_lists_begins_anew_when_it_comes_back(tmp_path: Path) -> None:
    note_anticipated(tmp_path, BOTH, ["main"], ago(90))
    note_anticipated(tmp_path, BOTH[:1], ["main"], ago(50))
    note_anticipated(tmp_path, BOTH, ["main"], ago(5))

    assert list(retired(tmp_path, {}, {"main": 30}, TODAY)) == ["asked"]
