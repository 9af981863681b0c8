"""What must not be said is said on no path: neither what a person rejected, nor what the audit withheld."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve, recorded
from tests.waiting import until
from warehouse.editorial.decisions import Decision, Kind, append_decisions
from warehouse.releases.rollback import rollback

OPEN, FEES = "When does the library open?", "What does a lost card cost?"
OTHER_WORDS = "When does the library open please?"
NEW = "Is there a place to park?"
CORPUS = replace(LIBRARY, withheld=frozenset({FEES}))
SENTENCE = "The team has withheld the answer to this question."


@pytest.fixture
def client(library: Library, serve: Serve, llm: FakeLlm) -> httpx.Client:
    """The service, with a model that says live what was prepared."""
    llm.behaviour.text = LIBRARY.answers[OPEN][0]
    library.publish(library=CORPUS)
    return serve()


def decide(library: Library, question: str, decision: Kind, *, allow_live: bool = False) -> None:
    """Write a decision as any process may; the services look at the file fifty times a second."""
    key = query_key("library", question)
    append_decisions(library.data, [Decision("library", key, "any", decision, "Ada", allow_live=allow_live)])


def told(look: Callable[[], dict[str, Any]], source: str) -> dict[str, Any]:
    """Look until the answer has this source."""
    return until(f"the answer is {source}", look, lambda body: body.get("source") == source)


def ask(client: httpx.Client, question: str, **headers: str) -> dict[str, Any]:
    body: dict[str, Any] = client.post("/v1/answers", json={"question": question}, headers=headers).json()
    return body


def reject(library: Library, client: httpx.Client, question: str = OPEN, *, allow_live: bool = False) -> None:
    decide(library, question, "reject", allow_live=allow_live)
    client.app.state.service.reviewed.follow()  # type: ignore[attr-defined]


def chat(client: httpx.Client, question: str, **more: object) -> httpx.Response:
    messages = [{"role": "user", "content": question}]
    return client.post("/v1/chat/completions", json={"model": "beforehand", "messages": messages, **more})


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    return [(block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: "))) for block in blocks]


def test_a_rejected_question_gets_a_sentence_and_costs_no_call(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    reject(library, client)

    told = client.post("/v1/answers", json={"question": OPEN})

    body = told.json()
    assert (body["source"], body["reason"], body["answer"]) == ("withheld", "rejected", SENTENCE)
    assert (body["confidence"], body["citations"], body["handover"]) == (0.0, [], None)
    assert told.headers["cache-control"] == "no-store"
    assert told.headers["cache-status"] == "beforehand; detail=withheld"
    assert llm.requests == []


def test_what_the_audit_withheld_gets_the_same(client: httpx.Client, llm: FakeLlm) -> None:
    body = ask(client, FEES)

    assert (body["source"], body["reason"]) == ("withheld", "withheld")
    assert llm.requests == []


def test_a_question_in_other_words_does_not_lead_around_a_rejection(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    assert ask(client, OTHER_WORDS)["source"] == "semantic"
    reject(library, client)

    body = ask(client, OTHER_WORDS)

    assert (body["source"], body["reason"]) == ("withheld", "rejected")
    assert llm.requests == []


def test_a_question_in_other_words_is_withheld_where_the_release_was_built_after_the_rejection(
    library: Library, serve: Serve, llm: FakeLlm
) -> None:
    decide(library, OPEN, "reject")
    library.publish(library=CORPUS)
    client = serve()

    assert ask(client, OTHER_WORDS)["source"] == "withheld"
    assert OPEN not in client.get("/v1/questions").text
    assert llm.requests == []


def test_no_cache_does_not_lead_around_a_rejection(library: Library, client: httpx.Client, llm: FakeLlm) -> None:
    reject(library, client)

    for question in (OPEN, OTHER_WORDS):
        assert ask(client, question, **{"cache-control": "no-cache"})["source"] == "withheld"
    assert llm.requests == []


def test_a_rejected_question_is_streamed_as_an_event_of_its_own(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    reject(library, client)

    streamed = events(client.post("/v1/answers", json={"question": OPEN, "stream": True}))

    assert [event for event, _ in streamed] == ["start", "withheld"]
    assert streamed[-1][1]["answer"] == SENTENCE
    assert llm.requests == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_told_the_same(library: Library, client: httpx.Client, llm: FakeLlm, *, stream: bool) -> None:
    reject(library, client)

    said = chat(client, OPEN, stream=stream, stream_options={"include_usage": True} if stream else None).text

    assert "withheld" in said
    assert "rejected" in said
    assert "content_filter" in said
    assert "nine in the morning" not in said
    assert llm.requests == []


def test_a_job_ends_with_it_too(library: Library, client: httpx.Client, llm: FakeLlm) -> None:
    reject(library, client)
    job = client.post("/v1/answers", json={"question": OPEN}, headers={"prefer": "respond-async"})
    assert job.status_code == 202

    body = told(lambda: client.get(job.headers["location"]).json(), "withheld")

    assert body["reason"] == "rejected"
    assert llm.requests == []


def test_a_job_that_has_its_answer_is_answered_again_after_a_rejection(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    job = client.post("/v1/answers", json={"question": NEW}, headers={"prefer": "respond-async"})
    told(lambda: client.get(job.headers["location"]).json(), "live")
    reject(library, client, NEW)

    assert told(lambda: client.get(job.headers["location"]).json(), "withheld")["reason"] == "rejected"
    assert len(llm.requests) == 1


def test_the_page_says_so_without_javascript(library: Library, client: httpx.Client, llm: FakeLlm) -> None:
    reject(library, client)

    page = client.post("/", data={"question": OPEN}, follow_redirects=True)

    assert page.status_code == 200
    assert SENTENCE in page.text
    assert "nine in the morning" not in page.text
    assert client.get(f"/questions/{query_key('library', OPEN)}").status_code == 404
    assert llm.requests == []


def test_a_rejection_holds_after_a_rollback(library: Library, serve: Serve) -> None:
    first = library.publish(library=CORPUS)
    library.publish(library=CORPUS, suffix=" So it is now.")
    decide(library, OPEN, "reject")
    rollback(library.data, first)

    with serve.stopping() as client:
        assert ask(client, OPEN)["source"] == "withheld"
        assert ask(client, OTHER_WORDS)["source"] == "withheld"


def test_a_live_answer_in_flight_is_held_back_from_all_who_wait_for_it(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    llm.behaviour.gate = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, client, NEW) for _ in range(3)]
        until("the model was asked", lambda: llm.requests)
        decide(library, NEW, "reject")
        llm.behaviour.gate.set()
        bodies = [each.result() for each in waiting]

    assert {(body["source"], body["reason"]) for body in bodies} == {("withheld", "rejected")}
    assert len(llm.requests) == 1


def test_a_stream_in_flight_ends_with_the_event_that_takes_its_text_back(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    llm.behaviour.gate = threading.Event()
    with client.stream("POST", "/v1/answers", json={"question": NEW, "stream": True}) as response:
        lines = response.iter_lines()
        assert next(lines) == "event: start"
        decide(library, NEW, "reject")
        llm.behaviour.gate.set()
        rest = "\n".join(lines)

    assert rest.rstrip().split("event: ")[-1].startswith("withheld")


def test_the_words_of_a_rejected_answer_are_not_said_to_any_question(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    assert ask(client, "Tell me a story about the library")["source"] == "live"
    reject(library, client)

    assert ask(client, "Tell me another story about it")["reason"] == "rejected"
    llm.behaviour.text = "Bicycles are parked in yards [1]."
    assert ask(client, "Tell me one more story about it")["source"] == "live"


def test_a_prepared_answer_does_not_say_what_was_rejected_for_another_question(
    library: Library, client: httpx.Client
) -> None:
    hours = "At what time do the doors of the library open?"
    answers = {**LIBRARY.answers, hours: LIBRARY.answers[OPEN]}
    library.publish(library=replace(LIBRARY, answers=answers))
    told(lambda: ask(client, hours), "exact")

    reject(library, client)

    assert ask(client, hours)["reason"] == "rejected"
    decide(library, hours, "approve")
    assert told(lambda: ask(client, hours), "exact")["answer"] == LIBRARY.answers[OPEN][0]


@pytest.mark.parametrize(
    "said",
    ["Of course! {} Anything else?", "{} It closes at five [1].", "**THE LIBRARY** opens - at nine, in the morning!"],
)
def test_the_words_of_a_rejected_answer_are_not_said_among_others(
    library: Library, client: httpx.Client, llm: FakeLlm, said: str
) -> None:
    reject(library, client)
    llm.behaviour.text = said.format(LIBRARY.answers[OPEN][0])

    assert ask(client, "Tell me another story about it")["reason"] == "rejected"


def test_what_a_person_rejected_is_not_said_after_the_release_has_another_answer(
    library: Library, client: httpx.Client, llm: FakeLlm
) -> None:
    key, former = query_key("library", OPEN), "Nobody ever opens the library at all."
    append_decisions(library.data, [Decision("library", key, "any", "reject", "Ada", about=former)])
    client.app.state.service.reviewed.follow()  # type: ignore[attr-defined]
    llm.behaviour.text = f"{former[:-1]} [1]."

    assert ask(client, "Tell me another story about it")["reason"] == "rejected"


def test_a_finished_job_does_not_say_what_was_rejected_for_another_question(
    library: Library, client: httpx.Client
) -> None:
    question = {"question": "Tell me another story about it"}
    location = client.post("/v1/answers", json=question, headers={"prefer": "respond-async"}).headers["location"]
    assert told(lambda: client.get(location).json(), "live")["answer"] == LIBRARY.answers[OPEN][0]
    reject(library, client)

    assert client.get(location).status_code == 202
    assert told(lambda: client.get(location).json(), "withheld")["reason"] == "rejected"


def test_the_reviewer_may_allow_a_live_answer(library: Library, client: httpx.Client, llm: FakeLlm) -> None:
    reject(library, client, allow_live=True)

    assert ask(client, OPEN)["source"] == "live"
    assert len(llm.requests) == 1


def test_a_rejection_taken_back_holds_no_more(library: Library, client: httpx.Client) -> None:
    reject(library, client)
    decide(library, OPEN, "reconsider")

    assert told(lambda: ask(client, OPEN), "exact")["answer"] == LIBRARY.answers[OPEN][0]


def test_live_is_for_what_the_audit_withheld_and_not_for_what_a_person_rejected(
    library: Library, serve: Serve, llm: FakeLlm
) -> None:
    library.publish(library=CORPUS)
    client = serve({"library": CollectionSettings(documents=[], when_withheld="live")})
    reject(library, client)

    assert ask(client, FEES)["source"] == "live"
    assert ask(client, OPEN)["source"] == "withheld"
    assert len(llm.requests) == 1


def test_a_collection_may_hand_over_to_its_team(library: Library, serve: Serve) -> None:
    library.publish(library=CORPUS)
    desk = {"text": "Ask at the desk.", "url": "https://library.example/desk"}
    settings = {"when_withheld": "handover", "handover_text": desk["text"], "handover_url": desk["url"]}
    client = serve({"library": CollectionSettings.model_validate({"documents": [], **settings})})
    reject(library, client)

    body = ask(client, OPEN)
    page = client.post("/", data={"question": OPEN}).text

    assert (body["answer"], body["handover"]) == (desk["text"], desk)
    assert desk["text"] in page
    assert f'href="{desk["url"]}"' in page


def test_a_handover_needs_words() -> None:
    with pytest.raises(ValueError, match="handover_text"):
        CollectionSettings(documents=[], when_withheld="handover")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "desk", "https://", "mailto:"])
def test_a_handover_leads_to_an_address(url: str) -> None:
    with pytest.raises(ValueError, match="handover_url"):
        CollectionSettings(documents=[], handover_url=url)


def test_suggestions_name_only_what_is_served(library: Library, client: httpx.Client) -> None:
    reject(library, client)

    suggested = {
        each["question"]
        for each in ask(client, "How long may I borrow a book please, at the library?").get("suggestions", [])
    }
    body = ask(client, OPEN)

    assert OPEN not in suggested | {each["question"] for each in body["suggestions"]}


def test_journal_and_metrics_have_the_same_source_and_reason(library: Library, client: httpx.Client) -> None:
    reject(library, client)
    ask(client, OPEN)
    records = recorded(library.data)

    assert (records[0]["source"], records[0]["refusal"], records[0]["status"]) == ("withheld", "rejected", 200)
    metrics = client.get("/metrics").text
    assert 'beforehand_requests_total{source="withheld"} 1.0' in metrics
    assert 'beforehand_unanswered_total{reason="rejected",source="withheld"} 1.0' in metrics
