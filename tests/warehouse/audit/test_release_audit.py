from __future__ import annotations

import json
from dataclasses import replace

import duckdb
import pytest

import warehouse
from tests.warehouse.conftest import key, sample_rows, write_parquet
from warehouse.audit.golden_files import read_golden
from warehouse.audit.release_audit import audit, failures
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.errors import WarehouseError
from warehouse.releases.build import abandon, begin_build
from warehouse.releases.load import load_release_database
from warehouse.settings import AuditSettings

# three answers are too few for shares; the tests of answers let every release pass
LENIENT = {
    "least_served": 0, "most_empty": 1, "most_truncated": 1, "most_uncited": 1, "most_unsupported": 1,
    "most_alike": 1, "most_shrunk": 1,
}  # fmt: skip


def stored_key(question):
    """Return the short key under which the sample rows hold a question."""
    return key(question.removeprefix("What is ").removesuffix("?"))


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def audited(data, tmp_path):
    """Return a function that builds rows, audits them and returns the checks by name and the build."""
    builds = []

    def run(rows, **settings):
        build = begin_build(data, "r1")
        builds.append(build)
        load_release_database(build.database, write_parquet(tmp_path / build.release_id, rows))
        settings = AuditSettings(**settings)
        golden = [replace(each, query_key=stored_key(each.question)) for each in read_golden(settings.golden, ["main"])]
        checks = audit(build, settings, golden)
        return {check.name: check for check in checks}, build

    yield run
    for build in builds:
        abandon(build)


def statuses(read, build):
    return dict(read(build.database, "SELECT query_key[:2], coalesce(withheld_reason, status) FROM answers"))


FAULTS = [
    ({"answer": ""}, "empty"),
    ({"answer": " ... \n"}, "empty"),
    ({"finish_reason": "length"}, "cut off"),
    ({"answer": "I do not know."}, "refusal"),
    ({"answer": "I don\u2019t know what q1 is. The passages say [1] nothing."}, "refusal"),
    ({"answer": "The passages do not contain the answer."}, "refusal"),
    ({"support": 0.1}, "not borne out by its passages"),
    ({"answer": "Ask those who say: they know. I do not know everything."}, "served"),
    ({"answer": "It was an aim."}, "served"),
    ({"answer": "\u65e5\u672c\u8a9e [1]"}, "served"),
    ({"origin": "curated", "answer": "I do not know.", "support": None, "finish_reason": None}, "served"),
    ({"origin": "curated", "answer": ""}, "empty"),
]


@pytest.mark.parametrize(("change", "outcome"), FAULTS)
def test_an_answer_that_fails_is_withheld_with_its_reason(audited, rows, read, change, outcome):
    rows["answers"][0] |= change
    _, build = audited(rows, **LENIENT)
    assert statuses(read, build) == {"q1": outcome, "q2": "served", "q3": "served"}


def test_an_answer_without_any_source_is_withheld(audited, rows, read):
    rows["citations"] = rows["citations"][1:]
    _, build = audited(rows, **LENIENT)
    assert statuses(read, build)["q1"] == "cites nothing"


def test_an_answer_that_only_consulted_its_passages_is_served_unless_citations_are_required(audited, rows, read):
    rows["citations"][0]["kind"] = "consulted"
    _, build = audited(rows, **LENIENT)
    assert statuses(read, build)["q1"] == "served"
    abandon(build)
    _, build = audited(rows, **LENIENT, require_citation=True)
    assert statuses(read, build)["q1"] == "cites nothing"


def test_truncated_answers_can_be_let_through(audited, rows, read):
    rows["answers"][0]["finish_reason"] = "length"
    _, build = audited(rows, **LENIENT, withhold_truncated=False)
    assert statuses(read, build)["q1"] == "served"


def test_without_refusal_phrases_no_answer_is_a_refusal(audited, rows, read):
    rows["answers"][0]["answer"] = "I do not know."
    _, build = audited(rows, **LENIENT, refusals=[])
    assert statuses(read, build)["q1"] == "served"


def test_a_canary_is_never_served_and_a_confident_answer_to_one_fails_the_audit(audited, rows, read):
    rows["questions"][0]["origin"] = rows["questions"][1]["origin"] = "canary"
    rows["answers"][1]["answer"] = "I do not know."
    checks, build = audited(rows, **LENIENT)
    assert statuses(read, build) == {"q1": "canary, confidently answered", "q2": "canary", "q3": "served"}
    assert not checks["canaries"].passed
    assert checks["canaries"].examples == ("What is q1?",)


def many(count):
    rows = sample_rows()
    for table in ("questions", "answers", "citations", "retrievals", "changes"):
        rows[table] = []
    fresh = sample_rows()
    for n in range(count):
        for table in ("questions", "answers", "citations"):
            rows[table].append({**fresh[table][0], "query_key": key(f"n{n:02}")})
        rows["questions"][-1]["question"] = f"What is n{n}?"
        rows["answers"][-1] |= {"answer": f"It is {n} [1].", "fingerprint": key(f"f{n:02}")}
    return rows


def test_a_good_release_passes_every_check(audited):
    checks, build = audited(many(20))
    assert failures(list(checks.values())) == ""
    assert set(checks) == {
        "not served", "empty", "truncated", "uncited", "unsupported", "alike", "canaries", "references",
    }  # fmt: skip
    with duckdb.connect(str(build.database), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM checks WHERE passed").fetchone() == (len(checks),)


SPOILT = [
    ("empty", {"answer": ""}, 2),
    ("truncated", {"finish_reason": "length"}, 7),
    ("unsupported", {"support": 0.0}, 7),
    ("alike", {"answer": "Everything gets this answer."}, 4),
    ("not served", {"answer": ""}, 11),
]


@pytest.mark.parametrize(("name", "change", "count"), SPOILT)
def test_too_many_bad_answers_fail_the_audit_with_figures_and_examples(audited, name, change, count):
    rows = many(20)
    rows["answers"][:count] = [row | change for row in rows["answers"][:count]]
    checks, _ = audited(rows)
    assert not checks[name].passed
    assert checks[name].figure == pytest.approx(count / 20)
    assert f"{count} of 20" in checks[name].explanation
    assert "What is n0?" in failures(list(checks.values()))


@pytest.mark.parametrize("origin", ["corpus", "journal"])
@pytest.mark.parametrize(("name", "change", "count"), SPOILT)
def test_bad_answers_to_proposed_and_to_visitors_questions_fail_no_audit(audited, read, name, change, count, origin):
    rows = many(20)
    rows["answers"][:count] = [row | change for row in rows["answers"][:count]]
    for row in rows["questions"][:count]:
        row["origin"] = origin
    checks, build = audited(rows)
    assert failures(list(checks.values())) == ""
    withheld = read(build.database, "SELECT count(*) FROM answers WHERE status <> 'served'")
    assert withheld == [(0 if name == "alike" else count,)]


@pytest.mark.parametrize(("name", "change", "count"), SPOILT)
def test_good_answers_to_visitors_questions_help_no_bad_release_through(audited, name, change, count):
    rows = many(80)
    rows["answers"][:count] = [row | change for row in rows["answers"][:count]]
    for row in rows["questions"][20:]:
        row["origin"] = "journal"
    checks, _ = audited(rows)
    assert not checks[name].passed
    assert f"{count} of 20" in checks[name].explanation


def test_twelve_questions_off_topic_stop_no_release(audited, publish_rows):
    """The rows of a project whose visitors asked for poems: the model knows no answer to any of them."""
    publish_rows(many(24))
    rows = many(36)
    for question, answer in zip(rows["questions"][24:], rows["answers"][24:], strict=True):
        question["origin"] = "journal"
        answer |= {"answer": "I do not know.", "support": 0.0}
    assert failures(list(audited(rows)[0].values())) == ""


def test_refusals_are_not_alike_but_served_answers_with_one_text_are(audited):
    rows = many(20)
    for answer in rows["answers"][:8]:
        answer["answer"] = "I do not know."
    checks, build = audited(rows)
    assert checks["alike"].figure == 0
    assert checks["not served"].figure == pytest.approx(8 / 20)
    abandon(build)
    for answer in rows["answers"][:4]:
        answer["answer"] = "Everything gets this answer."
    assert audited(rows)[0]["alike"].figure == pytest.approx(4 / 20)


def test_visitors_questions_that_are_asked_no_more_are_no_shrinking(audited, publish_rows):
    rows = many(40)
    for row in rows["questions"][20:]:
        row["origin"] = "journal"
    publish_rows(rows)
    checks, _ = audited(many(20))
    assert failures(list(checks.values())) == ""
    assert checks["fewer served answers"].explanation.startswith("20 served answers after 20")


def test_answers_that_only_consulted_fail_the_audit_if_citations_are_required(audited):
    rows = many(10)
    for each in rows["citations"]:
        each["kind"] = "consulted"
    checks, build = audited(rows)
    assert checks["uncited"].passed
    abandon(build)
    checks, _ = audited(rows, require_citation=True)
    assert checks["uncited"].explanation.startswith("10 of 10 generated answers")


def test_an_audit_without_canaries_says_so(audited):
    assert audited(many(10))[0]["canaries"].explanation == "no canaries are configured."


def test_answers_without_sources_fail_the_audit(audited):
    rows = many(20)
    rows["citations"] = rows["citations"][2:]
    assert not audited(rows)[0]["uncited"].passed


def test_a_release_that_shrank_fails_the_audit(audited, publish_rows):
    publish_rows(many(20))
    checks, _ = audited(many(15))
    assert not checks["fewer served answers"].passed
    assert checks["fewer served answers"].explanation.startswith("15 served answers after 20")
    assert checks["fewer documents"].passed


def test_a_lost_small_collection_fails_the_audit_unless_it_was_removed_from_the_configuration(audited, publish_rows):
    rows = many(20)
    small = {"collection": "small", "document_id": "d0"}
    rows["documents"].append(rows["documents"][0] | small)
    publish_rows(rows)
    checks, build = audited(many(20))
    assert not checks["fewer documents"].passed
    assert "0 documents after 1 in the release before, in the collection small" in checks["fewer documents"].explanation
    assert failures(audit(build, AuditSettings(), (), {"main"})) == ""


def test_a_release_that_grew_passes(audited, publish_rows):
    publish_rows(many(10))
    assert failures(list(audited(many(20))[0].values())) == ""


@pytest.fixture
def golden(tmp_path):
    path = tmp_path / "golden.jsonl"
    lines = [
        {"question": "What is q1?", "expected": ["PASSAGE"]},
        {"question": "What is q2?", "reference": "the answer to q2 is in a passage"},
        {"question": "What is unheard of?", "expected": "something"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return path


def test_golden_questions_are_counted(audited, rows, golden):
    checks, _ = audited(rows, **LENIENT, golden=[golden], least_golden=0.9)
    assert checks["golden share"].figure == pytest.approx(2 / 3)
    assert not checks["golden share"].passed
    assert checks["golden share"].examples == ("What is unheard of?",)
    assert checks["golden questions"].passed


@pytest.mark.parametrize("change", [{"answer": "Something else [1]."}, {"finish_reason": "length"}])
def test_a_golden_question_that_got_worse_fails_the_audit(audited, publish_rows, rows, golden, change):
    publish_rows(sample_rows())
    rows["answers"][0] |= change
    checks, _ = audited(rows, **LENIENT, golden=[golden])
    assert not checks["golden questions"].passed
    assert checks["golden questions"].examples == ("What is q1?",)


@pytest.mark.parametrize("line", ["{", '{"question": "x"}', '{"expected": ["x"]}', "[1]"])
def test_a_golden_line_that_can_not_be_used_is_named(audited, rows, tmp_path, line):
    (tmp_path / "bad.jsonl").write_text(f'{{"question": "a", "expected": ["b"]}}\n{line}\n')
    with pytest.raises(WarehouseError, match=r"bad.jsonl, line 2"):
        audited(rows, **LENIENT, golden=[tmp_path / "bad.jsonl"])


def doubts(read, build):
    return read(build.database, "SELECT query_key[:2], reason FROM doubts ORDER BY ALL")


def test_doubtful_answers_are_served_and_noted(audited, rows, read):
    rows["answers"][0]["support"] = 0.4
    rows["answers"][1]["invalid_citations"] = 2
    _, build = audited(rows, **LENIENT)
    assert doubts(read, build) == [
        ("q1", "its passages bear out little of it"),
        ("q2", "it referred to passages that were not in its prompt"),
    ]


def curated(rows, passages):
    rows["answers"][0] |= {
        "origin": "curated",
        "passages_hash": key(passages),
        "fingerprint": key(f"curated{passages}"),
    }
    return rows


def test_a_curated_answer_is_flagged_when_its_document_changes_until_it_is_reviewed(audited, publish_rows, read, data):
    publish_rows(curated(sample_rows(), "old"))
    _, build = audited(curated(sample_rows(), "new"), **LENIENT)
    assert doubts(read, build) == [("q1", "a document that it names has changed")]
    assert statuses(read, build)["q1"] == "served"

    append_decisions(data, [Decision("main", key("q1"), key("curatednew"), "approve", "Ada")])
    abandon(build)
    assert doubts(read, audited(curated(sample_rows(), "new"), **LENIENT)[1]) == []


def test_the_flag_stays_in_later_releases(audited, publish_rows, read):
    publish_rows(curated(sample_rows(), "old"))
    rows = curated(sample_rows(), "new")
    rows["doubts"] = [{"collection": "main", "query_key": key("q1"), "fingerprint": key("curatednew"),
                       "reason": "a document that it names has changed"}]  # fmt: skip
    publish_rows(rows)
    _, build = audited(curated(sample_rows(), "new"), **LENIENT)
    assert doubts(read, build) == [("q1", "a document that it names has changed")]


def test_an_audit_runs_beside_a_session_on_the_current_release(audited, publish_rows, rows, data):
    publish_rows(sample_rows())
    with warehouse.connect(data) as session:
        assert audited(rows, **LENIENT)[0]["fewer documents"].passed
        assert session.execute("SELECT count(*) FROM answers").fetchone() == (3,)


def test_the_shares_count_questions_by_their_weight(audited, rows):
    rows["questions"][0]["weight"] = 8.0
    rows["answers"][0] |= {"answer": "I do not know."}
    checks, _ = audited(rows, **LENIENT | {"least_served": 0.5})
    assert not checks["not served"].passed
    assert "1 of 3 questions have no served answer (80.0% by weight, at most 50.0%)" in checks["not served"].explanation


def test_a_question_that_says_what_its_answer_must_contain_is_a_golden_one(audited, rows):
    rows["questions"][0]["expected"] = "answer to q1\nPASSAGE"
    rows["questions"][1] |= {"expected": "30 days", "weight": 3.0}
    checks, _ = audited(rows, **LENIENT | {"least_golden": 0.5})
    assert not checks["golden share"].passed
    assert "1 of 2 golden questions are right (25.0% by weight" in checks["golden share"].explanation
    assert checks["golden share"].examples == ("What is q2?",)


def test_what_waits_for_the_budget_or_retired_is_neither_missing_nor_lost(audited, publish_rows, rows):
    publish_rows(sample_rows())
    answered = key("q1")
    for table in ("answers", "citations"):
        rows[table] = [row for row in rows[table] if row["query_key"] == answered]
    for table in ("questions", "retrievals"):
        rows[table] = [row for row in rows[table] if row["query_key"] != key("q3")]
    aside = [(key("q2"), "budget"), (key("q3"), "retired")]
    rows["set_aside"] = [
        {"collection": "main", "query_key": each, "question": "?", "origin": "list", "reason": reason}
        for each, reason in aside
    ]

    checks, build = audited(rows)

    assert checks["not served"].explanation.startswith("0 of 1 questions")
    assert checks["fewer served answers"].passed
    abandon(build)
    rows["set_aside"] = []
    assert not audited(rows)[0]["fewer served answers"].passed
