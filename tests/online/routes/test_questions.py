"""Anticipated questions, searched and browsed; no collection sees another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from tests.online.conftest import LIBRARY, MUSEUM, Library, Serve

BOTH = {"library": CollectionSettings(documents=[]), "museum": CollectionSettings(documents=[])}


def test_a_search_gives_the_nearest_questions_first(client: httpx.Client) -> None:
    found = client.get("/v1/questions", params={"q": "lost card"}).json()["questions"]
    assert found[0]["question"] == "What does a lost card cost?"
    similarities = [each["similarity"] for each in found]
    assert similarities == sorted(similarities, reverse=True)


def test_browsing_page_by_page_gives_every_question_once(client: httpx.Client) -> None:
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = client.get("/v1/questions", params={"limit": 3, "offset": offset}).json()
        assert page["total"] == len(LIBRARY.answers)
        seen += [each["question"] for each in page["questions"]]
        offset = page["next_offset"]
    assert sorted(seen) == sorted(LIBRARY.answers)


def test_no_lookup_or_suggestion_crosses_collections(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH)
    questions = [
        *LIBRARY.answers,
        *MUSEUM.answers,
        "At what time does the museum open?",
        "Please, when does the library open?",
    ]
    documents = {"library": set(LIBRARY.documents), "museum": set(MUSEUM.documents)}
    known = {name: set(corpus.answers) for name, corpus in (("library", LIBRARY), ("museum", MUSEUM))}

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.sampled_from(sorted(documents)), st.sampled_from(questions), st.booleans())
    def property_holds(collection: str, question: str, fresh: bool) -> None:
        headers = {"Cache-Control": "no-cache"} if fresh else {}
        answer = client.post(
            "/v1/answers", json={"question": question, "collection": collection, "explain": True}, headers=headers
        ).json()
        assert answer["collection"] == collection
        assert answer["query_key"] in {query_key(collection, each) for each in [*known[collection], question]}
        assert {each["document_id"] for each in answer["citations"]} <= documents[collection]
        candidates = answer["explanation"].get("candidates", [])
        assert {each["question"] for each in candidates} <= known[collection]
        found = client.get("/v1/questions", params={"q": question, "collection": collection}).json()["questions"]
        assert {each["question"] for each in found} <= known[collection]

    property_holds()


def test_concurrent_searches_and_answers_do_not_mix(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH)
    expected = {question: answer for corpus in (LIBRARY, MUSEUM) for question, (answer, _) in corpus.answers.items()}
    places = {
        question: name for name, corpus in (("library", LIBRARY), ("museum", MUSEUM)) for question in corpus.answers
    }

    def ask(question: str) -> tuple[str, str]:
        body = {"question": question, "collection": places[question]}
        return question, client.post("/v1/answers", json=body).json()["answer"]

    with ThreadPoolExecutor(16) as pool:
        for question, answer in pool.map(ask, list(expected) * 40):
            assert answer == expected[question]
