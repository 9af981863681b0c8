"""An answer with several wordings: each is an exact hit and a semantic one, and visitors' are shown to nobody else."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from rag.identity import query_key
from tests.online.conftest import LIBRARY, Library, Serve, journal
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.editorial.withdrawal import tombstone

OPEN, RENEW = "When does the library open?", "How do I renew a loan?"
TEAM, VISITOR = "At what time is the library open?", "please tell me about the story of opening"
FENCE, BARE = "When does the library open, please?", "how can I renew a loan?"
WORDED = replace(
    LIBRARY,
    wordings={OPEN: [(TEAM, "list"), (VISITOR, "journal")]},
    fences={FENCE: OPEN},
)


def ask(client: httpx.Client, question: str, **fields: object) -> dict[str, object]:
    response = client.post("/v1/answers", json={"question": question, **fields})
    assert response.status_code == 200, response.text
    found: dict[str, object] = response.json()
    return found


@pytest.fixture
def client(serve: Serve, library: Library) -> httpx.Client:
    library.publish(library=WORDED)
    return serve()


def asked_alone(serve: Serve, question: str) -> tuple[dict[str, object], dict[str, object]]:
    """Return the answer to a question, and the journal's row about it."""
    serve.library.publish(library=WORDED)
    with serve.stopping() as client:
        answer = ask(client, question, explain=True)
    [row] = [each for each in journal(serve.library.data) if each["kind"] == "request"]
    return answer, row


def test_a_wording_is_an_exact_hit_and_the_journal_names_it(serve: Serve) -> None:
    answer, row = asked_alone(serve, TEAM.upper())

    assert (answer["source"], answer["answer"]) == ("exact", LIBRARY.answers[OPEN][0])
    assert (answer["question"], answer["matched_question"]) == (TEAM.upper(), OPEN)
    assert "a wording of an anticipated one" in str(answer["explanation"])
    assert row["matched_key"] == answer["query_key"] == query_key("library", OPEN)
    assert row["wording_key"] == query_key("library", TEAM)


def test_the_primary_wording_is_served_as_before(serve: Serve) -> None:
    answer, row = asked_alone(serve, OPEN)

    assert "matched_question" not in answer
    assert row["matched_key"] == query_key("library", OPEN)
    assert "wording_key" not in row


def test_words_near_a_wording_hit_its_answer_and_the_wording_is_shown_to_nobody(serve: Serve) -> None:
    answer, row = asked_alone(serve, f"Please, {VISITOR}")

    assert (answer["source"], answer["matched_question"]) == ("semantic", OPEN)
    assert VISITOR not in str(answer["explanation"])
    assert row["wording_key"] == query_key("library", VISITOR)


def test_lists_show_primary_questions_only(client: httpx.Client) -> None:
    listed = client.get("/v1/questions").json()
    assert listed["total"] == len(LIBRARY.answers)
    assert not {TEAM, VISITOR} & {each["question"] for each in listed["questions"]}


def test_a_fence_never_hits_its_answer(client: httpx.Client) -> None:
    assert ask(client, FENCE)["source"] == "live"
    assert ask(client, "Please, when does the library open?")["source"] == "semantic"


@pytest.mark.parametrize(("fences", "source"), [({}, "semantic"), ({BARE: RENEW}, "live")])
def test_a_fence_holds_with_courtesies_around_it(
    serve: Serve, library: Library, fences: dict[str, str], source: str
) -> None:
    library.publish(library=replace(LIBRARY, fences=fences))
    client = serve()
    asked = [BARE, f"Please, {BARE}", f"Hello, {BARE}", f"{BARE} Thanks!"]
    assert [ask(client, each)["source"] for each in asked] == [source] * len(asked)


def test_a_false_hit_of_a_wording_is_not_served_again(serve: Serve, library: Library) -> None:
    library.publish(library=WORDED)
    tombstone(library.data, query_key("library", TEAM), query_key("library", OPEN), "reported")
    client = serve()

    assert ask(client, TEAM)["source"] == "live"
    assert ask(client, f"Please, {TEAM}")["source"] == "live"


def test_a_no_holds_for_all_wordings(serve: Serve, library: Library) -> None:
    library.publish(library=WORDED)
    append_decisions(library.data, [Decision("library", query_key("library", OPEN), "f", "reject", "ann")])
    client = serve()

    assert [ask(client, each)["source"] for each in (OPEN, TEAM, VISITOR, f"Please, {VISITOR}")] == ["withheld"] * 4


def test_a_withheld_answer_bars_its_wordings(serve: Serve, library: Library) -> None:
    library.publish(library=replace(WORDED, withheld=frozenset({OPEN})))
    assert ask(serve(), TEAM)["source"] == "withheld"
