"""People have the last word, at once: in the running service, and after a rollback."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve, chunk_id
from warehouse.editorial.decisions import Decision, Kind, append_decisions
from warehouse.editorial.sources import Source
from warehouse.editorial.withdrawal import withdraw
from warehouse.releases.release import current
from warehouse.releases.rollback import rollback
from warehouse.releases.serving_index import ServingIndex

OPEN, FEES = "When does the library open?", "What does a lost card cost?"
LOAN = "How long may I borrow a book?"
CORPUS = replace(LIBRARY, withheld=frozenset({FEES}))


@pytest.fixture
def client(library: Library, serve: Serve) -> httpx.Client:
    library.publish(library=CORPUS)
    return serve()


def prepared(client: httpx.Client, question: str) -> dict[str, Any] | None:
    """Return the prepared answer, if the service has one that may be served."""
    lookup = client.app.state.service.lookup  # type: ignore[attr-defined]
    body = lookup.prepared.reviewed.answer(lookup.prepared.release().index, query_key("library", question))
    fields: dict[str, Any] | None = None if body is None else json.loads(body)
    return None if fields is None or lookup.prepared.withdrawn.touches("library", fields["documents"]) else fields


def follow(client: httpx.Client) -> None:
    client.app.state.service.reviewed.follow()  # type: ignore[attr-defined]


def edited(question: str, answer: str, sources: tuple[Source, ...] = ()) -> Decision:
    key = query_key("library", question)
    return Decision("library", key, "earlier", "edit", "Ada", answer, question=question, sources=sources)


def library_fingerprint(library: Library, question: str) -> str:
    key = query_key("library", question)
    with ServingIndex(current(library.data).serving_index) as index:
        return str(json.loads(index.answer(key) or index.withheld(key) or b"{}")["fingerprint"])


def ask(client: httpx.Client, question: str) -> dict[str, Any]:
    body: dict[str, Any] = client.post("/v1/answers", json={"question": question}).json()
    return body


def decide(
    library: Library, client: httpx.Client, question: str, fingerprint: str, *, decision: Kind, new_answer: str = ""
) -> None:
    """Decide, and let the service look at the file (it looks fifty times a second)."""
    record = Decision("library", query_key("library", question), fingerprint, decision, "Ada", new_answer or None)
    append_decisions(library.data, [record])
    follow(client)


def test_an_edited_answer_is_served_with_its_new_text(library: Library, client: httpx.Client) -> None:
    before = ask(client, OPEN)
    decide(library, client, OPEN, before["fingerprint"], decision="edit", new_answer="At ten, since May [1].")

    after = ask(client, OPEN)

    assert (after["answer"], after["origin"], after["source"]) == ("At ten, since May [1].", "edited", "exact")
    assert after["citations"] == before["citations"]


def test_a_rejected_answer_is_no_hit_and_not_listed(library: Library, client: httpx.Client, llm: FakeLlm) -> None:
    decide(library, client, OPEN, ask(client, OPEN)["fingerprint"], decision="reject")

    assert ask(client, OPEN)["source"] == "withheld"
    assert llm.requests == []
    listed = client.get("/v1/questions").json()["questions"]
    assert OPEN not in {each["question"] for each in listed}


def test_a_withheld_answer_is_served_once_it_is_approved(library: Library, client: httpx.Client) -> None:
    assert ask(client, FEES)["source"] == "withheld"
    withheld = client.app.state.service.current.get().index.withheld(query_key("library", FEES))  # type: ignore[attr-defined]
    decide(library, client, FEES, json.loads(withheld)["fingerprint"], decision="approve")

    assert ask(client, FEES)["answer"] == "A lost card costs ten euros [1]."


def test_an_approval_of_another_fingerprint_changes_nothing(library: Library, client: httpx.Client) -> None:
    for question in (OPEN, FEES):
        decide(library, client, question, "of other passages", decision="approve")

    assert ask(client, OPEN)["answer"] == "The library opens at nine in the morning [1]."
    assert prepared(client, FEES) is None


def test_an_edit_is_the_answer_whatever_is_generated_since(library: Library, client: httpx.Client) -> None:
    for question in (OPEN, FEES):
        decide(library, client, question, "of other passages", decision="edit", new_answer="Never.")

    assert ask(client, OPEN)["answer"] == "Never."
    assert ask(client, FEES)["answer"] == "Never."


def test_an_edit_keeps_the_passages_that_it_refers_to(library: Library, client: httpx.Client) -> None:
    fees = Source(1, "cited", "fees", chunk_id("library", "fees"), "Fees", "file:fees.md", "")
    edit = edited(OPEN, "Late books cost one euro [1].", sources=(fees,))
    append_decisions(library.data, [edit])
    follow(client)

    answer = ask(client, OPEN)

    assert [(each["document_id"], each["number"]) for each in answer["citations"]] == [("fees", 1)]
    assert answer["citations"][0]["passage"] == LIBRARY.documents["fees"]
    withdraw(library.data, "library", "fees", "outdated")
    client.app.state.service.withdrawn.follow_documents()  # type: ignore[attr-defined]
    assert prepared(client, OPEN) is None, "the passage that the reviewer relied on is withdrawn"


def test_an_edit_answers_a_question_for_which_the_release_has_no_answer(library: Library, client: httpx.Client) -> None:
    append_decisions(library.data, [edited("Is there a café?", "No.")])
    follow(client)

    answer = ask(client, "Is there a café?")

    assert (answer["answer"], answer["origin"], answer["question"]) == ("No.", "edited", "Is there a café?")


def test_a_rejection_holds_whatever_the_answer_has_become(library: Library, serve: Serve) -> None:
    library.publish(library=CORPUS)
    with serve.stopping() as client:
        decide(library, client, OPEN, ask(client, OPEN)["fingerprint"], decision="reject")
    library.publish(library=CORPUS, suffix=" So it is now.")

    with serve.stopping() as client:
        assert prepared(client, OPEN) is None
        decide(library, client, OPEN, "any", decision="reconsider")
        assert ask(client, OPEN)["answer"].endswith("So it is now.")


def test_a_decision_taken_back_holds_no_more_in_a_release_that_was_built_with_it(
    library: Library, serve: Serve
) -> None:
    library.publish(library=CORPUS)
    for question, decision, answer in ((OPEN, "edit", "At noon."), (LOAN, "reject", None), (FEES, "approve", None)):
        mark = library_fingerprint(library, question)
        append_decisions(
            library.data, [Decision("library", query_key("library", question), mark, decision, "Ada", answer)]
        )
    library.publish(library=CORPUS)
    with serve.stopping() as client:
        assert (ask(client, OPEN)["answer"], prepared(client, LOAN)) == ("At noon.", None)
        for question in (OPEN, LOAN, FEES):
            decide(library, client, question, "any", decision="reconsider")

        assert ask(client, OPEN)["answer"] == "The library opens at nine in the morning [1]."
        assert ask(client, LOAN)["answer"] == "A book may be borrowed for four weeks [1]."
        assert prepared(client, FEES) is None


def test_a_decision_holds_after_a_rollback(library: Library, serve: Serve) -> None:
    first = library.publish(library=replace(CORPUS, withheld=frozenset({FEES, OPEN})))
    fingerprint = library_fingerprint(library, OPEN)
    library.publish(library=replace(CORPUS, withheld=frozenset({OPEN})), suffix=" So it is now.")
    later = library_fingerprint(library, OPEN)
    with serve.stopping() as client:
        decide(library, client, OPEN, fingerprint, decision="approve")
        assert prepared(client, OPEN) is None
        decide(library, client, OPEN, later, decision="approve")
        assert ask(client, OPEN)["answer"].endswith("So it is now.")
    rollback(library.data, first)

    with serve.stopping() as client:
        assert ask(client, OPEN)["answer"] == "The library opens at nine in the morning [1]."
        decide(library, client, OPEN, later, decision="edit", new_answer="Closed.")
        assert ask(client, OPEN)["answer"] == "Closed."
