from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from tests.warehouse.conftest import key, request, sample_rows, write_history, write_parquet
from warehouse.audit.release_audit import audit
from warehouse.editorial.review import export_near_misses, export_reviews
from warehouse.editorial.review_files import write_rows
from warehouse.editorial.review_import import import_reviews
from warehouse.editorial.withdrawal import Tombstones, tombstone
from warehouse.errors import ReviewError
from warehouse.log_line import read as read_log
from warehouse.releases.build import abandon, begin_build
from warehouse.releases.load import load_release_database
from warehouse.settings import AuditSettings


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def published(publish_rows, rows):
    rows["answers"][0] |= {"status": "withheld", "withheld_reason": "refusal", "answer": "I do not know."}
    rows["doubts"] = [{"collection": "main", "query_key": key("q2"), "fingerprint": key("f-q2"), "reason": "little"}]
    return publish_rows(rows)


def exported(path):
    """Return all rows of an exported file as other programs read them."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_withheld_and_doubtful_answers_are_exported_with_their_evidence(data, tmp_path, ending):
    target = tmp_path / f"review{ending}"
    assert export_reviews(data, target) == 2
    first, second = exported(target)
    assert {"decision", "new_answer", "reviewer", "note"} <= first.keys()
    assert (first["question"], first["status"], first["reason"]) == ("What is q1?", "withheld", "refusal")
    assert first["evidence"] == "[1] Document 1: Passage 1 about opening hours."
    assert (second["question"], second["status"], second["reason"]) == ("What is q2?", "served", "little")


def decide(target, decisions):
    """Fill a CSV in as a person would."""
    rows = [row | decisions.get(row["question"], {}) for row in exported(target)]
    write_rows(target, list(rows[0]), rows)


@pytest.fixture
def rebuilt(data, tmp_path, read):
    """Return a function that builds and audits the withheld answer again and tells what became of it."""
    builds = []

    def rebuild(rows):
        build = begin_build(data, "r2")
        builds.append(build)
        load_release_database(build.database, write_parquet(tmp_path / build.release_id, rows))
        audit(build, AuditSettings())
        return read(
            build.database,
            "SELECT status, withheld_reason, answer, origin FROM answers WHERE query_key = ?", key("q1"),
        )[0]  # fmt: skip

    yield rebuild
    for build in builds:
        abandon(build)


def refusing():
    rows = sample_rows()
    rows["answers"][0]["answer"] = "I do not know."
    return rows


OUTCOMES = [
    ({"decision": "approve"}, ("served", None, "I do not know.", "generated")),
    ({"decision": "Edit", "new_answer": "It is \u00e4 thing."}, ("served", None, "It is \u00e4 thing.", "edited")),
    ({"decision": "reject"}, ("withheld", "rejected by a review", "I do not know.", "generated")),
    ({}, ("withheld", "refusal", "I do not know.", "generated")),
]


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("decision", "outcome"), OUTCOMES)
def test_a_decision_holds_in_later_builds(data, tmp_path, rebuilt, decision, outcome):
    export_reviews(data, tmp_path / "r.csv")
    decide(tmp_path / "r.csv", {"What is q1?": decision})
    import_reviews(data, tmp_path / "r.csv", "Ada")
    assert rebuilt(refusing()) == outcome


@pytest.mark.usefixtures("published")
def test_a_decision_lapses_when_the_answer_is_generated_from_something_else(data, tmp_path, rebuilt):
    export_reviews(data, tmp_path / "r.csv")
    decide(tmp_path / "r.csv", {"What is q1?": {"decision": "approve"}})
    import_reviews(data, tmp_path / "r.csv", "Ada")
    rows = refusing()
    rows["answers"][0]["fingerprint"] = key("other passages")
    assert rebuilt(rows)[0] == "withheld"


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("decision", "outcome", "doubts"),
    [
        ({"decision": "reject"}, ("withheld", "rejected by a review", "It opens at ten [1].", "generated"), []),
        ({"decision": "edit", "new_answer": "Yes [1]."}, ("served", None, "Yes [1].", "edited"),
         [("edited before; its passages or model changed",)]),
        ({"decision": "approve"}, ("served", None, "It opens at ten [1].", "generated"),
         [("approved before; its passages or model changed",)]),
    ],
)  # fmt: skip
def test_a_rejection_and_an_edit_hold_when_the_document_changed(
    data, tmp_path, rebuilt, read, decision, outcome, doubts
):
    export_reviews(data, tmp_path / "r.csv")
    decide(tmp_path / "r.csv", {"What is q1?": decision})
    import_reviews(data, tmp_path / "r.csv", "Ada")
    rows = sample_rows()
    rows["answers"][0] |= {"fingerprint": key("other passages"), "answer": "It opens at ten [1]."}

    assert rebuilt(rows) == outcome

    database = next((data / "releases").glob(".building*")) / "warehouse.duckdb"
    assert read(database, "SELECT reason FROM doubts WHERE query_key = ?", key("q1")) == doubts


@pytest.mark.usefixtures("published")
def test_reviewer_and_time_are_recorded_and_the_last_decision_counts(data, tmp_path, rebuilt, read):
    export_reviews(data, tmp_path / "r.csv")
    for decision, who in (("approve", ""), ("reject", "Grace")):
        decide(tmp_path / "r.csv", {"What is q1?": {"decision": decision, "reviewer": who, "note": "because",
                                                    "decisions": ""}})  # fmt: skip
        imported = import_reviews(data, tmp_path / "r.csv", "Ada")
        assert imported.decisions == {"approve": decision == "approve", "edit": 0, "reject": decision == "reject"}
        assert imported.undecided == 1
    assert rebuilt(refusing())[1] == "rejected by a review"
    database = next((data / "releases").glob(".building*")) / "warehouse.duckdb"
    assert read(database, "SELECT reviewer, note, reviewed_at IS NOT NULL FROM reviews") == [("Grace", "because", True)]
    assert [r["reviewer"] for r in read_log(data / "reviews.jsonl")] == ["Ada", "Grace"]


def line(**change):
    row = {"collection": "main", "query_key": key("q3"), "fingerprint": key("f-q3"), "decision": "approve"}
    return json.dumps(row | change) + "\n"


WRONG = [
    (line(decision="maybe"), "the decision 'maybe' is none of approve, edit, reject, confirm, reconsider."),
    (line(decision="edit"), "an edit needs the text of the answer in the column 'new_answer'."),
    (line(fingerprint=""), "the column 'fingerprint' is empty or missing."),
    (line(decision="", new_answer="Yes."), "there is a new text but no decision: write one of approve"),
    (line(decision="", note="Ask Grace."), "there is a note but no decision"),
    (line(decision="confirm"), "there is no earlier decision to confirm."),
    (line(decision="reject", allow_live="perhaps"), "'allow_live' is 'perhaps', which is neither yes nor no."),
    ("{\n", "can't be read (r.jsonl, line 2: "),
]


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("wrong", "complaint"), WRONG)
def test_a_wrong_row_is_named_and_the_others_hold(data, tmp_path, wrong, complaint):
    (tmp_path / "r.jsonl").write_text(line(query_key=key("q2"), fingerprint=key("f-q2")) + wrong)

    imported = import_reviews(data, tmp_path / "r.jsonl", "Ada")

    (refused,) = imported.refused
    assert (refused.row, imported.decisions["approve"], imported.undecided) == (2, 1, 0)
    assert complaint.replace("r.jsonl, line 2: ", "") in refused.message
    assert [record["query_key"] for record in read_log(data / "reviews.jsonl")] == [key("q2")]


def test_a_file_that_is_no_review_file_is_refused(data, tmp_path):
    (tmp_path / "r.jsonl").write_text('{"question": "x"}\n')
    with pytest.raises(ReviewError, match="neither a column 'decision' nor 'same'"):
        import_reviews(data, tmp_path / "r.jsonl", "Ada")
    assert not data.exists()


def test_a_wrong_label_is_named_and_the_others_are_recorded(data, tmp_path):
    labels = [("x", "y", "perhaps"), ("x", "z", "yes"), ("v", "w", "no"), ("v", "w", "yes"), ("v", "u", "")]
    (tmp_path / "r.jsonl").write_text(
        "".join(json.dumps({"a": a, "b": b, "same": same}) + "\n" for a, b, same in labels)
    )

    imported = import_reviews(data, tmp_path / "r.jsonl", "Ada")

    assert [(each.row, each.message) for each in imported.refused] == [
        (1, "'perhaps' is neither yes nor no."),
        (3, "another row labels the same pair otherwise: keep one of them."),
        (4, "another row labels the same pair otherwise: keep one of them."),
    ]
    assert (imported.pairs, imported.undecided) == (1, 1)
    assert read_log(data / "labelled_pairs.jsonl") == [{"a": "x", "b": "z", "same": True}]


def test_an_empty_file_is_refused(data, tmp_path):
    (tmp_path / "r.csv").write_bytes(b"\r\n")
    with pytest.raises(ReviewError, match="the file is empty"):
        import_reviews(data, tmp_path / "r.csv", "Ada")


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(ReviewError, match=r"must be one of .csv, .xlsx, .jsonl, .parquet"):
        write_rows(tmp_path / "r.doc", ["a"], [])


@pytest.mark.usefixtures("published")
def test_comparisons_with_live_answers_propose_a_label(data, tmp_path):
    hit = {**request("asked", "semantic", matched_key=key("q2")), "kind": "comparison"}
    write_history(data, [{**hit, "agrees": False}, {**hit, "agrees": False}, {**hit, "question": None, "agrees": True}])
    assert export_near_misses(data, tmp_path / "pairs.jsonl") == 1
    (pair,) = exported(tmp_path / "pairs.jsonl")
    assert (pair["a"], pair["b"], pair["asked"], pair["same"]) == ("asked", "What is q2?", 3, "")


@pytest.mark.usefixtures("published")
def test_near_misses_can_be_labelled(data, tmp_path):
    write_history(data, [request("=1+1 miss", "live", matched_key=key("q2"), similarity=0.9, refusal="numbers")])
    assert export_near_misses(data, tmp_path / "pairs.csv") == 1
    assert "'=1+1 miss" in (tmp_path / "pairs.csv").read_text(encoding="utf-8-sig")
    rows = exported(tmp_path / "pairs.csv")
    with (tmp_path / "pairs.csv").open("w", newline="") as file:  # as a spreadsheet saves it: the apostrophe stays
        csv.writer(file).writerows([[*rows[0]], [*(rows[0] | {"same": "no"}).values()]])

    assert import_reviews(data, tmp_path / "pairs.csv", "Ada").pairs == 1

    assert read_log(data / "labelled_pairs.jsonl") == [{"a": "=1+1 miss", "b": "What is q2?", "same": False}]


@pytest.mark.usefixtures("published")
def test_a_person_decides_about_a_reported_false_hit(data, tmp_path):
    tombstone(data, key("asked"), key("q2"), "reported")
    report = {"kind": "feedback", "query_key": key("asked"), "matched_key": key("q2"), "question": "asked"}
    write_history(data, [{**request("asked", "semantic"), **report}])
    assert export_near_misses(data, tmp_path / "pairs.jsonl") == 1
    (pair,) = exported(tmp_path / "pairs.jsonl")
    assert (pair["a"], pair["b"], pair["reason"]) == ("asked", "What is q2?", "reported as a false hit")

    for label, dead in (("no", 1), ("yes", 0), ("no", 1)):
        write_rows(tmp_path / "pairs.jsonl", list(pair), [{**pair, "same": label}])
        import_reviews(data, tmp_path / "pairs.jsonl", "Ada")
        assert len(Tombstones(data).pairs()) == dead, label
