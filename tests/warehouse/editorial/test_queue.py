"""One queue of all that waits for a person, and what becomes of it when a person decides."""

from __future__ import annotations

import pytest

from tests.warehouse.conftest import NOW, key, request, sample_rows, write_history
from warehouse.append_log import append
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.editorial.queue import confirmation, queue, queue_and
from warehouse.editorial.review_desk import decide, history, undo
from warehouse.editorial.withdrawal import withdraw
from warehouse.errors import ReviewError


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def about(name, decision, reviewer="Ada", answer=None, **more):
    return Decision("main", key(name), key(f"f-{name}"), decision, reviewer, answer, **more)


def waiting(data, **filters):
    """Return the reasons of what waits, by question."""
    return {item.question: [each.kind for each in item.reasons] for item in queue(data, **filters)}


def withheld():
    rows = sample_rows()
    rows["answers"][0] |= {"status": "withheld", "withheld_reason": "refusal", "answer": "I do not know."}
    return rows


def changed(rows, name="q1", text="It opens at ten [1]."):
    """Let one word of the document change, and with it the answer."""
    answer = next(each for each in rows["answers"] if each["query_key"] == key(name))
    answer |= {"fingerprint": key(f"f2-{name}"), "answer": text}
    rows["chunks"][0] |= {"content_hash": key("c1 changed"), "text": "Passage 1 about longer opening hours."}
    return rows


def test_withheld_and_doubtful_answers_wait_with_their_evidence(data, publish_rows):
    rows = withheld()
    rows["doubts"] = [{"collection": "main", "query_key": key("q2"), "fingerprint": key("f-q2"), "reason": "little"}]
    publish_rows(rows)

    first, second = queue(data)

    assert (first.question, first.answer, first.status) == ("What is q1?", "I do not know.", "withheld")
    assert [(each.kind, each.detail) for each in first.reasons] == [("withheld", "refusal")]
    assert [(each.number, each.title, each.text) for each in first.evidence] == [
        (1, "Document 1", "Passage 1 about opening hours.")
    ]
    assert [(each.kind, each.detail) for each in second.reasons] == [("doubtful", "little")]


def test_a_question_is_shown_on_request_also_if_nothing_about_it_waits(data, publish_rows):
    publish_rows(withheld())
    decide(data, [about("q2", "reject")])

    found = {item.question: [each.kind for each in item.reasons] for item in queue_and(data, key("q2"))}

    assert found == {"What is q1?": ["withheld"], "What is q2?": []}
    assert [item.evidence[0].number for item in queue_and(data, key("q2"))] == [1, 1]
    assert [item.question for item in queue_and(data, "")] == ["What is q1?"]


@pytest.mark.parametrize("decision", ["approve", "edit", "reject"])
def test_what_is_decided_leaves_the_queue_and_comes_back_when_it_is_undone(data, publish_rows, decision):
    publish_rows(withheld())

    (outcome,) = decide(data, [about("q1", decision, answer="Yes [1]." if decision == "edit" else None)])

    assert outcome.held
    assert queue(data) == []
    assert undo(data, "main", key("q1"), "Grace").held
    assert waiting(data) == {"What is q1?": ["withheld"]}
    assert [each.decision for each in history(data, key("q1"))] == [decision, "reconsider"]


def test_undoing_an_approval_brings_the_rejection_before_it_back(data, publish_rows):
    publish_rows(withheld())
    decide(data, [about("q1", "reject")])
    decide(data, [about("q1", "approve")])

    undo(data, "main", key("q1"), "Ada")

    last = history(data, key("q1"))[-1]
    assert (last.decision, last.note) == ("reject", f"undoes what was approved by Ada on {last.reviewed_at[:10]}")


def test_undo_without_a_decision_says_so(data, publish_rows):
    publish_rows(sample_rows())

    outcome = undo(data, "main", key("q1"), "Ada")

    assert (outcome.held, outcome.message) == (False, "there is no decision to take back.")


@pytest.mark.parametrize(
    ("decision", "reason", "former"),
    [
        (about("q1", "reject"), "rejected before", "The answer to q1 is in the passage [1]."),
        (about("q1", "edit", answer="At ten [1]."), "edited before", "It opens at ten [1]."),
        (about("q1", "approve"), "approval lapsed", "The answer to q1 is in the passage [1]."),
    ],
)
def test_a_decision_waits_for_a_look_when_the_answer_changed(data, publish_rows, decision, reason, former):
    publish_rows(sample_rows())
    decide(data, [decision])
    publish_rows(changed(sample_rows()))

    (item,) = queue(data)

    assert [each.kind for each in item.reasons] == [reason]
    assert "by Ada on" in item.reasons[0].detail
    assert "changed since: its passages of Document 1" in item.reasons[0].detail
    assert item.former_answer == former
    assert item.answer == (decision.answer or "It opens at ten [1].")
    decide(data, [confirmation(item, "Grace")])
    assert queue(data) == []
    assert history(data, key("q1"))[-1].decision == decision.decision


def test_the_change_of_the_model_is_named(data, publish_rows):
    publish_rows(sample_rows())
    decide(data, [about("q1", "reject")])
    rows = sample_rows()
    rows["answers"][0] |= {"fingerprint": key("f2"), "model_id": "other@2"}
    rows["models"] += [{"model_id": "other@2", "kind": "llm", "name": "other", "revision": "2", "details": "{}"}]
    publish_rows(rows)

    assert "changed since: its model (m@1 before, other@2 now)" in queue(data)[0].reasons[0].detail


def test_two_reviewers_who_disagree_are_shown_until_one_decides_again(data, publish_rows):
    publish_rows(sample_rows())
    decide(data, [about("q1", "approve", "Ada")])
    decide(data, [about("q1", "reject", "Grace")])

    (item,) = queue(data, reason="conflict")

    assert "rejected by Grace" in item.conflicts[0]
    assert "approved by Ada" in item.conflicts[0]
    decide(data, [confirmation(item, "Ada")])
    assert waiting(data) == {}, "Ada has come round"


def test_a_curated_answer_waits_when_its_document_changes_or_is_withdrawn(data, publish_rows):
    rows = sample_rows()
    rows["answers"][0] |= {"origin": "curated"}
    rows["doubts"] = [{"collection": "main", "query_key": key("q1"), "fingerprint": key("f-q1"),
                       "reason": "a document that it names has changed"}]  # fmt: skip
    publish_rows(rows)
    assert waiting(data) == {"What is q1?": ["document changed"]}

    withdraw(data, "main", "d1", "legal")
    assert waiting(data) == {"What is q1?": ["document withdrawn", "document changed"]}

    decide(data, [about("q1", "reject")])
    assert waiting(data) == {}


def test_an_answer_with_poor_feedback_waits_until_somebody_decides(data, publish_rows):
    publish_rows(sample_rows())
    hit = request("What is q2?", "exact", matched_key=key("q2"))
    vote = {"kind": "feedback", "request_id": hit["request_id"], "at": NOW, "helpful": False, "comment": "too old"}
    write_history(data, [hit, vote])

    (item,) = queue(data)

    assert (item.reasons[0].kind, item.reasons[0].detail) == ("poor feedback", "1 of 1 found it unhelpful: too old")
    decide(data, [about("q2", "approve")])
    assert queue(data) == []


def test_a_question_of_visitors_waits_until_somebody_decides_whether_to_list_it(data, publish_rows):
    rows = sample_rows()
    rows["questions"][2]["origin"] = "journal"
    publish_rows(rows)
    assert waiting(data) == {"What is q3?": ["asked by visitors"]}

    append(data / "listings.jsonl", [{"collection": "main", "query_key": key("q3"), "listed": False}])

    assert waiting(data) == {}


def test_the_queue_is_filtered_by_collection_and_reason(data, publish_rows):
    publish_rows(withheld())

    assert waiting(data, collection="other") == {}
    assert waiting(data, reason="doubtful") == {}
    assert waiting(data, collection="main", reason="withheld") == {"What is q1?": ["withheld"]}


WRONG = [
    ({"fingerprint": "7.95E+31"}, "'7.95E+31' is no fingerprint: a spreadsheet has turned it into a number"),
    ({"fingerprint": "795123456789012" + "0" * 17}, "is no fingerprint: a spreadsheet has"),
    ({"fingerprint": "f-q1"}, "'f-q1' is no fingerprint"),
    ({"fingerprint": key("f-q2")}, "the fingerprint belongs to another question, 'What is q2?'"),
    ({"fingerprint": "ab" * 16}, "no release that is kept has an answer with this 'fingerprint'"),
    ({"query_key": key("f-q1"), "fingerprint": key("q1")}, "the columns 'query_key' and 'fingerprint' are swapped"),
    ({"query_key": "1E+31"}, "'1E+31' is no query_key"),
    ({"query_key": "ab" * 16}, "no release has a question with this 'query_key'"),
    ({"collection": "other"}, "there is no collection 'other'; known are main"),
    ({"answer": "Better."}, "there is a new text, which the decision 'approve' would drop: write 'edit'"),
    (
        {"decision": "edit", "answer": "See [7] and `argv[3]`."},
        "[7] leads to no passage of the answer; its passages are [1].",
    ),
    ({"decision": "edit"}, "an edit needs the text"),
    ({"decision": "reconsider"}, "there is no decision to take back"),
    ({"allow_live": True}, "'allow_live' belongs to a rejection"),
    ({"reviewer": " "}, "no reviewer is named"),
]


@pytest.mark.parametrize(("fault", "complaint"), WRONG)
def test_a_decision_that_cant_hold_is_told_and_the_others_hold(data, publish_rows, fault, complaint):
    publish_rows(sample_rows())
    row = {"collection": "main", "query_key": key("q1"), "fingerprint": key("f-q1"), "decision": "approve",
           "reviewer": "Ada"} | fault  # fmt: skip

    wrong, right = decide(data, [Decision(**row), about("q2", "reject")])

    assert not wrong.held
    assert complaint in wrong.message
    assert right.held
    assert [each.decision for each in history(data, key("q2"))] == ["reject"]
    assert history(data, key("q1")) == []


def test_contrary_decisions_of_one_file_do_not_hold(data, publish_rows):
    publish_rows(sample_rows())

    first, second = decide(data, [about("q1", "approve"), about("q1", "reject", "Grace")])

    assert (first.held, second.held) == (False, False)
    assert "another row decides otherwise about the same question (reject by Grace)" in first.message


def test_an_old_file_does_not_overrule_a_newer_decision(data, publish_rows):
    publish_rows(withheld())
    (item,) = queue(data)
    decide(data, [about("q1", "reject", "Grace")])

    (outcome,) = decide(data, [about("q1", "approve", seen=item.decisions)])

    assert not outcome.held
    assert outcome.message.startswith("it was rejected by Grace on ")


def test_an_approval_of_an_answer_that_has_changed_does_not_hold_and_a_rejection_does(data, publish_rows):
    publish_rows(sample_rows())
    publish_rows(changed(sample_rows()))

    approval, rejection = (decide(data, [about("q1", kind)])[0] for kind in ("approve", "reject"))

    assert (approval.held, rejection.held) == (False, True)
    assert approval.message.startswith("the answer has changed since")
    assert waiting(data) == {"What is q1?": ["rejected before"]}


def test_approving_an_edited_answer_keeps_the_text_that_the_reviewer_read(data, publish_rows):
    publish_rows(sample_rows())
    decide(data, [about("q1", "edit", answer="At ten [1].")])

    decide(data, [about("q1", "approve", "Grace")])

    last = history(data, key("q1"))[-1]
    assert (last.decision, last.answer, last.reviewer) == ("edit", "At ten [1].", "Grace")


def test_records_of_earlier_versions_are_read(data, publish_rows):
    publish_rows(changed(sample_rows()))
    old = {"collection": "main", "query_key": key("q1"), "fingerprint": key("f-q1"), "decision": "reject",
           "answer": None, "reviewer": "Ada", "reviewed_at": "2026-11-20T12:00:00+00:00", "note": None}  # fmt: skip
    append(data / "reviews.jsonl", [old, {"decision": "maybe", "query_key": key("q2")}, {"decision": "edit"}])

    (item,) = queue(data)

    assert item.reasons[0].detail == (
        "rejected by Ada on 2026-11-20; changed since: its passages, its prompt or its model"
    )


def test_append_refuses_what_contradicts_itself(data):
    with pytest.raises(ReviewError, match="an edit needs the text"):
        append_decisions(data, [about("q1", "edit")])
    assert not (data / "reviews.jsonl").exists()


def test_the_queue_names_who_looks_after_a_question_the_heaviest_first(data, publish_rows):
    rows = sample_rows()
    for answer in rows["answers"]:
        answer |= {"status": "withheld", "withheld_reason": "refusal"}
    rows["questions"][2] |= {"weight": 5.0, "owner": "Kim"}
    publish_rows(rows)
    assert [(item.question, item.owner) for item in queue(data)] == [
        ("What is q3?", "Kim"),
        ("What is q1?", ""),
        ("What is q2?", ""),
    ]
