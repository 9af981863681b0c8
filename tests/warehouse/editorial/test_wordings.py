"""Rulings on texts near an answer: what stands after several."""

from __future__ import annotations

import json

import pytest

from rag.identity import query_key
from tests.warehouse.conftest import key, sample_rows
from warehouse.analysis.connection import connect
from warehouse.editorial.queue import queue
from warehouse.editorial.review import export_wordings
from warehouse.editorial.review_import import import_reviews
from warehouse.editorial.settling import Word, settle
from warehouse.editorial.withdrawal import Tombstones
from warehouse.editorial.wordings import (
    Ruling,
    all_rulings,
    append_rulings,
    fences_file,
    standing_rulings,
    wordings_file,
)
from warehouse.errors import ReviewError
from warehouse.reporting.report import write_report


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


def doubt(text="who cleans?", confidence=0.6, **more):
    return ruling(text, "doubtful", "m@1", confidence=confidence, collection="main", query_key=key("q1"), **more)


def said(data, text, accepted, reviewer="Ada", seen="doubtful"):
    """Let a person say whether a text is a wording of q1; return why that does not hold."""
    (fault,) = settle(data, [Word("main", key("q1"), text, reviewer, "wording" if accepted else "fence", seen)])
    return fault


def test_a_doubtful_wording_waits_with_its_answer_until_a_person_settles_it(tmp_path, publish_rows):
    publish_rows(sample_rows())
    data = tmp_path / "data"
    append_rulings(data, [doubt(), doubt("who cooks?")])
    (item,) = queue(data)
    assert [(each.kind, each.detail) for each in item.reasons] == [
        ("asked otherwise", "“who cleans?”"),
        ("asked otherwise", "“who cooks?”"),
    ]

    assert said(data, "who cleans?", True) is None
    assert said(data, "who cooks?", False) is None

    assert queue(data) == []
    assert {(each.text, each.verdict, each.origin, each.approved_by) for each in standing_rulings(data)} == {
        ("who cleans?", "wording", "journal", "Ada"),
        ("who cooks?", "fence", "journal", "Ada"),
    }
    refusal = said(data, "Who cleans?", False, "Ben")
    assert refusal == "nothing is in doubt about this wording any more; it is a wording, ruled by Ada."


def test_the_judges_agreement_with_people_is_shown_to_analysts_and_in_the_report(tmp_path, publish_rows):
    publish_rows(sample_rows())
    data = tmp_path / "data"
    append_rulings(data, [doubt(), doubt("who cooks?", 0.4), doubt("who washes?", 0.7), doubt("who irons?")])
    sure = ruling("who paints?", by="m@1", confidence=0.97, collection="main", query_key=key("q1"))
    append_rulings(data, [sure])
    assert said(data, "who paints?", False, seen="wording") is None, "a correction, which tells nothing of the others"
    for text, accepted in (("who cleans?", True), ("who cooks?", False), ("who washes?", False)):
        said(data, text, accepted)

    with connect(data) as session:
        assert session.execute("FROM judge_agreement").fetchall() == [("main", "m@1", 3, 2, 2 / 3)]
        assert session.execute("SELECT count(*) FROM rulings WHERE person").fetchall() == [(4,)]
    write_report(data, tmp_path / "report.html")
    write_report(data, tmp_path / "report.md")
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    assert "In main people decided 3 texts that m@1 had judged, and in 66.7% as it leaned." in page
    assert "From 20 on the share counts" in page
    assert "| main | visitors | 1 | 3 | 1 |" in text
    assert "In main people decided 3 of what m@1 had judged, 2 of it as the judge leaned." in text
    assert "who irons" not in page + text


@pytest.mark.parametrize(
    ("accepted", "told"),
    [
        (None, "No person has decided one of them yet."),
        (True, "people decided 1 text that m@1 had judged, as it leaned."),
        (False, "people decided 1 text that m@1 had judged, otherwise than it leaned."),
    ],
)
def test_the_report_says_what_few_decisions_say_of_the_judge(tmp_path, publish_rows, accepted, told):
    publish_rows(sample_rows())
    data = tmp_path / "data"
    append_rulings(data, [doubt()])
    if accepted is not None:
        said(data, "who cleans?", accepted)

    write_report(data, tmp_path / "report.html")

    assert told in (tmp_path / "report.html").read_text()


def test_doubtful_wordings_are_settled_through_a_file_row_by_row(tmp_path, publish_rows):
    publish_rows(sample_rows())
    data, file = tmp_path / "data", tmp_path / "wordings.csv"
    texts = ("who cleans?", "who cooks?", "who irons?", "who washes?")
    append_rulings(data, [doubt(text) for text in texts])
    assert export_wordings(data, file) == 4
    with pytest.raises(ReviewError, match="not decided and imported yet"):
        export_wordings(data, file)
    header, *lines = file.read_text(encoding="utf-8-sig").splitlines()
    answers = ("yes", "no", "perhaps", "")
    file.write_text("\n".join([header, *(line + said for line, said in zip(lines, answers, strict=True))]))

    imported = import_reviews(data, file, "Ada")

    assert (imported.wordings, imported.undecided) == (2, 1)
    assert [(each.row, each.message) for each in imported.refused] == [(3, "'perhaps' is neither yes nor no.")]
    assert {(each.text, each.verdict) for each in standing_rulings(data) if each.person} == {
        ("who cleans?", "wording"),
        ("who cooks?", "fence"),
    }


def test_a_wording_of_a_judge_that_a_person_denies_gets_the_answer_no_more_at_once(tmp_path, publish_rows):
    publish_rows(sample_rows())
    data, pair = tmp_path / "data", frozenset((query_key("main", "who cleans?"), key("q1")))
    append_rulings(data, [ruling(collection="main", query_key=key("q1"))])

    assert said(data, "who cleans?", False, seen="wording") is None

    assert standing(data) == [(key("q1"), "who cleans?", "fence")]
    assert pair in Tombstones(data).pairs()
    refusal = said(data, "who cleans?", False, "Ben", seen="wording")
    assert refusal == "the text is not a wording of this answer any more; it is a fence, ruled by Ada."

    assert said(data, "who cleans?", True, "Ben", seen="fence") is None

    assert standing(data) == [(key("q1"), "who cleans?", "wording")]
    assert Tombstones(data).pairs() == set()


def test_what_runs_found_is_exported_and_corrected_through_a_file(tmp_path, publish_rows):
    publish_rows(sample_rows())
    data, file = tmp_path / "data", tmp_path / "wordings.jsonl"
    found = [("who cleans?", "wording"), ("who cooks?", "fence"), ("who irons?", "wording")]
    append_rulings(data, [ruling(text, verdict, collection="main", query_key=key("q1")) for text, verdict in found])
    assert (export_wordings(data, tmp_path / "doubts.jsonl"), export_wordings(data, file, decided=True)) == (0, 3)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    corrected = {"who cleans?": "no", "who cooks?": "yes"}
    file.write_text("\n".join(json.dumps(row | {"accept": corrected.get(row["wording"], "")}) for row in rows))
    with pytest.raises(ReviewError, match="not decided and imported yet"):
        export_wordings(data, file, decided=True)

    imported = import_reviews(data, file, "Ada")

    assert (imported.wordings, imported.undecided, imported.refused) == (2, 1, [])
    assert {(each.text, each.verdict, each.person) for each in standing_rulings(data)} == {
        ("who cleans?", "fence", True), ("who cooks?", "wording", True), ("who irons?", "wording", False),
    }  # fmt: skip
    assert export_wordings(data, file, decided=True) == 3
