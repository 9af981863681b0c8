"""Releases and decisions from before keys told ß from ss and folded quotes: their questions are still found."""

from __future__ import annotations

import httpx
import pytest

from rag.identity import former_query_key, query_key
from tests.online import conftest
from tests.online.conftest import Corpus, Library, Serve
from warehouse.editorial.decisions import Decision, Kind, append_decisions

CURLY = "Why doesn\u2019t the library open on Sundays?"
STRAIGHT = "Why doesn't the library open on Sundays?"
CORPUS = Corpus({"hours": "The library is closed on Sundays."}, {CURLY: ("The staff rest on Sundays [1].", "hours")})


def ask(client: httpx.Client, question: str) -> dict[str, object]:
    response = client.post("/v1/answers", json={"question": question})
    assert response.status_code == 200, response.text
    return response.json()  # type: ignore[no-any-return]


def publish_as_before(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(conftest, "query_key", lambda name, question, _filters: former_query_key(name, question))
        library.publish(library=CORPUS, facts={"key_format": 1})


def decide(library: Library, key: str, decision: Kind) -> None:
    append_decisions(library.data, [Decision("library", key, "f", decision, "Ada", question=CURLY)])


def test_an_older_release_is_looked_up_under_its_own_keys(
    library: Library, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_as_before(library, monkeypatch)
    assert ask(serve(), CURLY)["source"] == "exact"


def test_a_newer_release_finds_either_kind_of_quote(library: Library, serve: Serve) -> None:
    library.publish(library=CORPUS)
    client = serve()
    assert [ask(client, each)["source"] for each in (CURLY, STRAIGHT)] == ["exact", "exact"]


def test_a_decision_from_before_holds_in_a_newer_release(library: Library, serve: Serve) -> None:
    library.publish(library=CORPUS)
    decide(library, former_query_key("library", CURLY), "reject")
    assert ask(serve(), STRAIGHT)["source"] == "withheld"


def test_a_newer_decision_holds_after_a_rollback_to_an_older_release(
    library: Library, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_as_before(library, monkeypatch)
    decide(library, query_key("library", CURLY), "reject")
    assert ask(serve(), CURLY)["source"] == "withheld"


def test_a_decision_on_one_question_is_none_on_another_that_once_shared_its_key(library: Library, serve: Serve) -> None:
    answers = {"Was sind die Masse?": ("Die Masse ist groß [1].", "hours")}
    library.publish(library=Corpus(CORPUS.documents, answers))
    append_decisions(
        library.data,
        [
            Decision(
                "library",
                query_key("library", "Was sind die Maße?"),
                "f",
                "reject",
                "Ada",
                question="Was sind die Maße?",
            )
        ],
    )
    assert ask(serve(), "Was sind die Masse?")["source"] == "exact"
