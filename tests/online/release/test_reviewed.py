"""People have the last word, at once: in the running service, and after a rollback."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve
from warehouse.editorial.review import import_reviews
from warehouse.releases.release import current, rollback
from warehouse.releases.serving_index import ServingIndex

OPEN, FEES = "When does the library open?", "What does a lost card cost?"
CORPUS = replace(LIBRARY, withheld=frozenset({FEES}))


@pytest.fixture
def client(library: Library, serve: Serve) -> httpx.Client:
    library.publish(library=CORPUS)
    return serve()


def ask(client: httpx.Client, question: str) -> dict[str, Any]:
    body: dict[str, Any] = client.post("/v1/answers", json={"question": question}).json()
    return body


def decide(library: Library, client: httpx.Client, question: str, fingerprint: str, **decision: str) -> None:
    """Import a decision, and wait until the service has looked at the file (it looks fifty times a second)."""
    row = {"collection": "library", "query_key": query_key("library", question), "fingerprint": fingerprint}
    file = Path(library.data.parent / "decided.jsonl")
    file.write_text(json.dumps(row | decision))
    import_reviews(library.data, file, "Ada")
    client.app.state.service.reviewed.follow()  # type: ignore[attr-defined]


def test_an_edited_answer_is_served_with_its_new_text(library: Library, client: httpx.Client) -> None:
    before = ask(client, OPEN)
    decide(library, client, OPEN, before["fingerprint"], decision="edit", new_answer="At ten, since May [1].")

    after = ask(client, OPEN)

    assert (after["answer"], after["origin"], after["source"]) == ("At ten, since May [1].", "edited", "exact")
    assert after["citations"] == before["citations"]


def test_a_rejected_answer_is_no_hit_and_not_listed(library: Library, client: httpx.Client, llm: FakeLlm) -> None:
    decide(library, client, OPEN, ask(client, OPEN)["fingerprint"], decision="reject")

    assert ask(client, OPEN)["source"] == "live"
    assert len(llm.requests) == 1
    listed = client.get("/v1/questions").json()["questions"]
    assert OPEN not in {each["question"] for each in listed}


def test_a_withheld_answer_is_served_once_it_is_approved(library: Library, client: httpx.Client) -> None:
    assert ask(client, FEES)["source"] == "live"
    withheld = client.app.state.service.current.get().index.withheld(query_key("library", FEES))  # type: ignore[attr-defined]
    decide(library, client, FEES, json.loads(withheld)["fingerprint"], decision="approve")

    assert ask(client, FEES)["answer"] == "A lost card costs ten euros [1]."


def test_a_decision_about_another_fingerprint_changes_nothing(library: Library, client: httpx.Client) -> None:
    for question in (OPEN, FEES):
        decide(library, client, question, "of other passages", decision="edit", new_answer="Never.")

    assert ask(client, OPEN)["answer"] == "The library opens at nine in the morning [1]."
    assert ask(client, FEES)["source"] == "live"


def test_a_decision_holds_after_a_rollback(library: Library, serve: Serve) -> None:
    first = library.publish(library=CORPUS)
    with ServingIndex(current(library.data).serving_index) as index:
        fingerprint = json.loads(index.answer(query_key("library", OPEN)) or b"{}")["fingerprint"]
    library.publish(library=CORPUS, suffix=" So it is now.")
    with serve.stopping() as client:
        decide(library, client, OPEN, fingerprint, decision="edit", new_answer="Closed.")
        assert ask(client, OPEN)["answer"].endswith("So it is now.")
    rollback(library.data, first)

    with serve.stopping() as client:
        assert ask(client, OPEN)["answer"] == "Closed."
