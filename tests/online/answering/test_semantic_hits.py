"""Semantic hits: served when the verifier accepts them, and watched."""

from __future__ import annotations

import re

import httpx
import pytest

from online.records import semantic_hits
from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Corpus, Library, Serve, recorded
from tests.waiting import until
from warehouse.editorial.withdrawal import untombstone

PARAPHRASE = "Please, when does the library open?"
MATCHED = "When does the library open?"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look once for a reported hit: it is in this process, where hits and reports are written in order."""
    monkeypatch.setattr(semantic_hits, "_LOOKS_AFTER_SECONDS", (0.0,))


def ask(client: httpx.Client, question: str, **fields: object) -> dict[str, object]:
    response = client.post("/v1/answers", json={"question": question, **fields})
    assert response.status_code == 200, response.text
    return {**response.json(), "cache-status": response.headers["cache-status"]}


def test_a_question_in_other_words_gets_the_prepared_answer(client: httpx.Client, llm: FakeLlm) -> None:
    answer = ask(client, PARAPHRASE)
    assert answer["source"] == "semantic"
    assert answer["question"] == PARAPHRASE
    assert answer["matched_question"] == MATCHED
    assert answer["answer"] == LIBRARY.answers[MATCHED][0]
    assert answer["cache-status"] == "beforehand; hit; detail=semantic"
    assert llm.requests == []


@pytest.mark.parametrize(
    "lookalike", ["When does the library not open?", "When does the library close?", "When does library 2 open?"]
)
def test_a_lookalike_is_answered_live(client: httpx.Client, lookalike: str) -> None:
    assert ask(client, lookalike)["source"] == "live"


def test_the_decision_is_explained_on_request(client: httpx.Client) -> None:
    explained = ask(client, PARAPHRASE, explain=True)["explanation"]
    assert explained["candidates"][0]["question"] == MATCHED
    assert explained["verifier"]["accepted"] is True
    refused = ask(client, "When does the library not open?", explain=True)["explanation"]
    assert refused["decision"] == refused["verifier"]["reason"] == "negation_differs"


def test_a_reported_false_hit_never_hits_again_and_others_still_do(client: httpx.Client) -> None:
    answer = ask(client, PARAPHRASE)
    said = {
        "request_id": answer["id"],
        "false_hit": {"question": PARAPHRASE, "query_key": answer["query_key"]},
    }
    assert client.post("/v1/feedback", json=said).json() == {"recorded": True, "tombstoned": True}
    assert ask(client, PARAPHRASE)["source"] == "live"
    assert ask(client, MATCHED)["source"] == "exact"
    assert ask(client, "When does the library open, please?")["source"] == "semantic"


def report(client: httpx.Client, request_id: object, question: str, matched: str = MATCHED) -> httpx.Response:
    """Report that a question got the answer to another."""
    hit = {"question": question, "query_key": query_key("library", matched)}
    return client.post("/v1/feedback", json={"request_id": request_id, "false_hit": hit})


def test_an_invented_request_removes_no_hit(client: httpx.Client, library: Library) -> None:
    ask(client, PARAPHRASE)
    assert report(client, "invented", PARAPHRASE).json() == {"recorded": True, "tombstoned": False}
    assert ask(client, PARAPHRASE)["source"] == "semantic"
    [said] = recorded(library.data, kind="feedback")
    assert "matched_key" not in said, "nor does it count against the answer"


def test_a_report_counts_only_for_the_hit_that_the_request_had(client: httpx.Client) -> None:
    exact, semantic = ask(client, MATCHED), ask(client, PARAPHRASE)
    live = ask(client, "When does the library not open?")
    other = "When does the library open, please?"
    ask(client, other)
    assert report(client, exact["id"], PARAPHRASE).json()["tombstoned"] is False
    assert report(client, live["id"], "When does the library not open?").json()["tombstoned"] is False
    assert report(client, semantic["id"], other).json()["tombstoned"] is False
    assert report(client, semantic["id"], PARAPHRASE, "What does a lost card cost?").json()["tombstoned"] is False
    assert [ask(client, each)["source"] for each in (PARAPHRASE, other)] == ["semantic", "semantic"]


def test_a_hit_is_reported_once_and_a_person_may_undo_it_for_good(client: httpx.Client, library: Library) -> None:
    answer = ask(client, PARAPHRASE)
    assert report(client, answer["id"], PARAPHRASE).json()["tombstoned"] is True
    untombstone(library.data, query_key("library", PARAPHRASE), query_key("library", MATCHED), "the same question")
    until("it is a hit again", lambda: ask(client, PARAPHRASE)["source"] == "semantic")
    assert report(client, answer["id"], PARAPHRASE).json()["tombstoned"] is False
    assert ask(client, PARAPHRASE)["source"] == "semantic"


def test_a_hit_can_be_reported_after_a_restart(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY)
    with serve.stopping() as client:
        answer = ask(client, PARAPHRASE)
    assert report(serve(), answer["id"], PARAPHRASE).json()["tombstoned"] is True


def test_callers_without_a_key_may_send_so_much_feedback_a_minute_and_keys_are_not_held_up(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]]
) -> None:
    library.publish(library=LIBRARY)
    client = serve(feedback_per_minute=5, keys=keys, public_page=["library"])
    answers = [report(client, f"invented-{n}", PARAPHRASE) for n in range(8)]
    assert [each.status_code for each in answers] == [200] * 5 + [429] * 3
    assert int(answers[-1].headers["retry-after"]) <= 12
    said = {"request_id": "r", "helpful": True}
    assert client.post("/v1/feedback", json=said, headers={"authorization": "Bearer reader"}).status_code == 200


def test_candidates_and_refusals_are_counted(client: httpx.Client) -> None:
    ask(client, PARAPHRASE)
    ask(client, "When does the library not open?")
    metrics = client.get("/metrics").text
    assert 'beforehand_semantic_candidates_total{decision="hit"} 1.0' in metrics
    assert 'beforehand_semantic_candidates_total{decision="negation_differs"} 1.0' in metrics


def test_near_misses_are_journalled_with_the_question_that_was_near(client: httpx.Client, library: Library) -> None:
    ask(client, "When does the library not open?")
    records = recorded(library.data)
    assert records[0]["matched_key"] == query_key("library", MATCHED)
    assert records[0]["refusal"] == "negation_differs"
    assert records[0]["similarity"] > 0.8


def test_semantic_hits_can_be_switched_off(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY)
    assert ask(serve(semantic_hits=False), PARAPHRASE)["source"] == "live"


def test_hits_stop_when_live_answers_contradict_them(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.text = "Bicycles are parked in yards behind 17 trees [1]."
    client = serve(comparison_share=1.0)
    sources: list[object] = []

    def hit() -> bool:
        sources.append(ask(client, PARAPHRASE)["source"])
        return sources[-1] == "semantic"

    until("hits stop", hit, lambda goes_on: not goes_on)
    assert sources.count("semantic") >= 7  # so many differing comparisons in a row, and no fewer, break the promise
    assert sources[-1] == "live"
    metrics = client.get("/metrics").text
    assert "beforehand_semantic_hits_enabled 0.0" in metrics
    assert "beforehand_semantic_error_upper_bound 1.0" in metrics


def agreeing(client: httpx.Client) -> float:
    """Return how many comparisons agreed so far."""
    found = re.search(r'comparisons_total{verdict="agrees"} (\S+)', client.get("/metrics").text)
    return float(found[1]) if found else 0.0


def test_hits_go_on_when_live_answers_confirm_them(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.text = LIBRARY.answers[MATCHED][0]
    client = serve(comparison_share=1.0)

    def compared() -> float:
        assert ask(client, PARAPHRASE)["source"] == "semantic"
        return agreeing(client)

    until("a dozen comparisons agree", compared, lambda agreed: agreed >= 12)
    assert "beforehand_semantic_error_estimate 0.0" in client.get("/metrics").text


def test_semantic_hits_are_off_in_a_language_without_guards(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY, facts={"collections": {"library": {"language": "de"}}})
    client = serve()
    explained = ask(client, PARAPHRASE, explain=True)
    assert explained["source"] == "live"
    assert explained["explanation"]["decision"] == "language_not_guarded"  # type: ignore[index]
    assert ask(client, MATCHED)["source"] == "exact"


def test_a_question_in_another_script_does_not_hit(library: Library, serve: Serve) -> None:
    corpus = Corpus({"returns": "可以退货。"}, {"这个商品可以退货吗": ("可以退货 [1].", "returns")})
    library.publish(library=corpus)
    client = serve()
    assert ask(client, "这个商品可以换货吗")["source"] == "live"
    assert ask(client, "这个商品可以退货吗")["source"] == "exact"


def test_a_german_question_to_an_english_collection_does_not_hit_by_english_guards(
    library: Library, serve: Serve
) -> None:
    asked, other = "Wie melde ich mich zum Kurs an?", "Wie melde ich mich zum Kurs?"
    library.publish(library=Corpus({"course": "Der Kurs."}, {other: ("Beim Empfang [1].", "course")}))
    client = serve()
    explained = ask(client, asked, explain=True)
    assert explained["source"] == "live"
    assert explained["explanation"]["decision"] == "language_not_guarded"  # type: ignore[index]
    assert ask(client, other)["source"] == "exact"
