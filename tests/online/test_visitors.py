"""What a visitor typed is shown to nobody else before a person has approved it: an attack on all that is public."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve
from tests.waiting import until
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.editorial.listing import list_question

BOTH = {"library": CollectionSettings(documents=[]), "museum": CollectionSettings(documents=[])}
SLANDER = "When does the library open, and is librarian Karl Lindqvist of 12 Baker Street a thief: see evil.example!"
OWN_WORDS = SLANDER.lower().rstrip("!")
PARAPHRASE = "Please, when does the library open, and is librarian karl lindqvist of 12 baker street a thief: see evil"
TEAMS_PARAPHRASE = "Please, when does the library open?"
ANSWER = "The library opens at nine in the morning [1]."
CANARIES = ("lindqvist", "baker street", "evil.example")
KEY = query_key("library", SLANDER)
VISITED = replace(LIBRARY, answers={**LIBRARY.answers, SLANDER: (ANSWER, "hours")}, visitors=frozenset({SLANDER}))


@pytest.fixture
def visited(library: Library, serve: Serve) -> httpx.Client:
    """A service whose release holds a visitor's question among the team's."""
    library.publish(library=VISITED)
    return serve()


Look = Callable[[httpx.Client, str], httpx.Response]
FORM = {"content-type": "application/x-www-form-urlencoded"}


def post(path: str, **more: object) -> Look:
    return lambda client, typed: client.post(path, json={"question": typed, **more})


def chat(client: httpx.Client, typed: str) -> httpx.Response:
    messages = [{"role": "user", "content": typed}]
    return client.post("/v1/chat/completions", json={"model": "beforehand", "messages": messages})


def get(path: str) -> Look:
    return lambda client, typed: client.get(path.format(typed=quote(typed)), follow_redirects=True)


LOOKS: dict[str, Look] = {
    "answers": post("/v1/answers"),
    "answers, explained": post("/v1/answers", explain=True),
    "answers, streamed": post("/v1/answers", stream=True, explain=True),
    "answers, later": lambda client, typed: client.post(
        "/v1/answers", json={"question": typed}, headers={"prefer": "respond-async, wait=5"}
    ),
    "answers, live": lambda client, typed: client.post(
        "/v1/answers", json={"question": typed, "explain": True}, headers={"cache-control": "no-cache"}
    ),
    "chat": chat,
    "questions": get("/v1/questions?limit=100"),
    "search": get("/v1/questions?q={typed}&limit=100"),
    "page": get("/"),
    "page, second": get("/?page=2"),
    "page, search": get("/?q={typed}"),
    "page, question": get("/?question={typed}"),
    "page, asked": lambda client, typed: client.post(
        "/", content=f"question={quote(typed)}", headers=FORM, follow_redirects=True
    ),
    "its own page": get(f"/questions/{KEY}"),
    "another's page": get(f"/questions/{query_key('library', next(iter(LIBRARY.answers)))}"),
    "models": get("/v1/models"),
    "document": get("/openapi.json"),
    "health": get("/readyz"),
    "metrics": get("/metrics"),
}
TYPED = [
    *LIBRARY.answers,
    TEAMS_PARAPHRASE,
    "When does the library open, and is librarian of a thief: see",
    "librarian of Street",
    "is it open",
]


def shown(response: httpx.Response) -> str:
    return response.text.lower()


@pytest.mark.parametrize("is_down", [False, True])
def test_nothing_of_a_visitors_question_is_shown_anywhere(visited: httpx.Client, llm: FakeLlm, is_down: bool) -> None:
    """Also while the language model is down: then each problem suggests the nearest questions."""
    llm.behaviour.fail_with = 503 if is_down else None

    @settings(
        max_examples=120,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(look=st.sampled_from(sorted(LOOKS)), typed=st.sampled_from(TYPED))
    def property_holds(look: str, typed: str) -> None:
        text = shown(LOOKS[look](visited, typed))
        assert not [canary for canary in CANARIES if canary in text], look

    property_holds()


def test_whoever_asks_it_is_served_in_their_own_words(visited: httpx.Client, llm: FakeLlm) -> None:
    answer = visited.post("/v1/answers", json={"question": OWN_WORDS}).json()
    assert (answer["source"], answer["answer"]) == ("exact", ANSWER)
    assert answer["question"] == OWN_WORDS
    assert answer["listed"] is False
    assert llm.requests == []


def test_the_page_serves_it_without_leading_to_a_page_for_all(visited: httpx.Client) -> None:
    page = visited.post("/", content=f"question={quote(OWN_WORDS)}", headers=FORM)
    assert page.status_code == 200
    assert "opens at nine" in page.text
    assert OWN_WORDS in page.text
    assert SLANDER not in page.text
    assert "ld+json" not in page.text
    assert visited.get(f"/?question={quote(OWN_WORDS)}").status_code == 200
    assert visited.get(f"/questions/{KEY}").status_code == 404


def test_it_answers_no_other_question(visited: httpx.Client) -> None:
    answer = visited.post("/v1/answers", json={"question": PARAPHRASE, "explain": True}).json()
    assert answer["query_key"] != KEY
    assert SLANDER not in json.dumps(answer["explanation"])


def test_it_is_not_even_counted(visited: httpx.Client) -> None:
    assert visited.get("/v1/questions").json()["total"] == len(LIBRARY.answers)
    assert f"Search {len(LIBRARY.answers)} questions" in visited.get("/").text


def listed(client: httpx.Client) -> set[str]:
    return {each["question"] for each in client.get("/v1/questions").json()["questions"]}


def test_an_approved_question_is_listed_at_once_and_after_a_new_release_until_the_approval_is_taken_back(
    visited: httpx.Client, library: Library
) -> None:
    list_question(library.data, "library", KEY, "Ada")
    until("it is listed", lambda: listed(visited), lambda found: SLANDER in found)
    assert visited.get(f"/questions/{KEY}").status_code == 200
    assert "Lindqvist" in visited.get("/").text
    assert (
        visited.post("/v1/answers", json={"question": PARAPHRASE, "explain": True}).json()["explanation"]["candidates"][
            0
        ]["question"]
        == SLANDER
    )

    library.publish(" Again.", library=VISITED)
    until("the new release answers", lambda: "Again." in post("/v1/answers")(visited, OWN_WORDS).json()["answer"])
    assert SLANDER in listed(visited)

    list_question(library.data, "library", KEY, "Ben", listed=False)
    until("it is listed no more", lambda: listed(visited), lambda found: SLANDER not in found)
    assert visited.get(f"/questions/{KEY}").status_code == 404


def test_many_questions_of_visitors_hide_none_of_the_team(library: Library, serve: Serve) -> None:
    flooded = dict.fromkeys((f"{TEAMS_PARAPHRASE} {n}" for n in range(100)), (ANSWER, "hours"))
    library.publish(library=replace(LIBRARY, answers={**LIBRARY.answers, **flooded}, visitors=frozenset(flooded)))
    client = serve()
    assert client.post("/v1/answers", json={"question": TEAMS_PARAPHRASE}).json()["source"] == "semantic"
    found = client.get("/v1/questions", params={"q": f"{TEAMS_PARAPHRASE} 7"}).json()
    assert {each["question"] for each in found["questions"]} == set(LIBRARY.answers)
    assert found["next_offset"] is None


def test_a_withheld_question_of_a_visitor_keeps_no_answer_from_others_unless_a_person_rejects_it(
    library: Library, serve: Serve
) -> None:
    typed, paraphrase = "How do I bake a sourdough bread?", "How do I bake a sourdough bread please?"
    answers, some = {**LIBRARY.answers, typed: (ANSWER, "hours")}, frozenset({typed})
    library.publish(library=replace(LIBRARY, answers=answers, visitors=some, withheld=some))
    client = serve()
    ask = post("/v1/answers")
    assert ask(client, typed).json()["source"] == "withheld"
    assert ask(client, paraphrase).json()["source"] == "live"

    append_decisions(library.data, [Decision("library", query_key("library", typed), "any", "reject", "Ada")])
    client.app.state.service.reviewed.follow()  # type: ignore[attr-defined]

    assert ask(client, paraphrase).json()["source"] == "withheld"
