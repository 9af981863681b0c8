"""Rulings on texts near an answer: what stands after several."""

from __future__ import annotations

import pytest

from warehouse.editorial.wordings import (
    Ruling,
    all_rulings,
    append_rulings,
    fences_file,
    standing_rulings,
    wordings_file,
)
from warehouse.errors import ReviewError


def ruling(text="who cleans?", verdict="wording", by="verifier", **more):
    fields = {"collection": "main", "query_key": "k1", "origin": "journal"} | more
    return Ruling(text=text, verdict=verdict, approved_by=by, **fields)


def standing(data):
    return [(each.query_key, each.text, each.verdict) for each in standing_rulings(data)]


def test_rulings_come_back_with_their_time(tmp_path):
    recorded = append_rulings(tmp_path, [ruling(confidence=0.97), ruling("who cooks?", "fence")])

    assert standing_rulings(tmp_path) == recorded
    assert all(each.since for each in recorded)


@pytest.mark.parametrize("first", ["wording", "fence", "doubtful"])
@pytest.mark.parametrize("last", ["wording", "fence", "doubtful"])
def test_of_several_rulings_on_one_text_the_last_stands_in_whichever_file(tmp_path, first, last):
    append_rulings(tmp_path, [ruling("Who cleans", first)])
    append_rulings(tmp_path, [ruling("who cleans?", last)])

    assert standing(tmp_path) == [("k1", "who cleans?", last)]


def test_one_text_may_be_a_wording_of_one_answer_and_a_fence_of_another(tmp_path):
    append_rulings(tmp_path, [ruling(), ruling(verdict="fence", query_key="k2")])

    assert standing(tmp_path) == [("k1", "who cleans?", "wording"), ("k2", "who cleans?", "fence")]


def test_what_is_withdrawn_stands_no_more(tmp_path):
    append_rulings(tmp_path, [ruling(), ruling("who cooks?", "fence")])
    append_rulings(tmp_path, [ruling(verdict="withdrawn"), ruling("who cooks?", "withdrawn")])

    assert standing(tmp_path) == []
    assert len(all_rulings(tmp_path)) == 4


def test_a_judge_does_not_overrule_a_person(tmp_path):
    append_rulings(tmp_path, [ruling(verdict="fence", by="Ada", person=True)])
    append_rulings(tmp_path, [ruling()])
    assert standing(tmp_path) == [("k1", "who cleans?", "fence")]

    append_rulings(tmp_path, [ruling(by="Ben", person=True)])
    assert standing(tmp_path) == [("k1", "who cleans?", "wording")]


def test_a_torn_or_foreign_line_is_skipped(tmp_path):
    append_rulings(tmp_path, [ruling()])
    with wordings_file(tmp_path).open("a") as file:
        file.write('{"text": "no answer is named", "verdict": "wording", "origin": "journal"}\n{"verdict": "wor')

    append_rulings(tmp_path, [ruling("who cooks?")])
    assert [text for _, text, _ in standing(tmp_path)] == ["who cleans?", "who cooks?"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"text": "???"}, "its text is no question"),
        ({"verdict": "maybe"}, "the verdict 'maybe' is none of wording, fence, doubtful, withdrawn"),
        ({"origin": "dream"}, "the origin 'dream' is none of"),
        ({"query_key": ""}, "it names no answer"),
        ({"by": " "}, "nobody is named"),
    ],
)
def test_an_incomplete_ruling_is_refused_with_all_that_came_with_it(tmp_path, wrong, sentence):
    with pytest.raises(ReviewError, match=sentence):
        append_rulings(tmp_path, [ruling("who cooks?", "fence"), ruling(**wrong)])

    assert not wordings_file(tmp_path).exists()
    assert not fences_file(tmp_path).exists()
