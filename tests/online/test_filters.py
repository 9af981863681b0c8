"""Filters: what a request names, what a key fixes, and what is never shown to anybody else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from online.http.authentication import hash_key, keys_of
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.errors import ConfigurationError
from rag.filters import Filters, fits, marks_of
from rag.identity import query_key
from tests.online.conftest import LIBRARY, Corpus, Library, Serve, journal

OPEN = "When does the library open?"
V1, V2, HR = (("version", "1"),), (("version", "2"),), (("audience", "hr"), ("version", "2"))
FILTERED = Corpus(
    {
        "everyone": "The library is a place for books, open to all.",
        "first": "The library opens at nine in the morning.",
        "second": "The library opens at eleven in the morning.",
        "staff": "The library opens at five in the morning for staff.",
    },
    {"What does a lost card cost?": ("A lost card costs ten euros [1].", "everyone")},
    fields=("audience", "version"),
    marks={"first": {"version": ["1"]}, "second": {"version": ["2"]}, "staff": {"audience": ["HR"]}},
    variants=(
        (OPEN, V1, "It opens at nine [1].", "first"),
        (OPEN, V2, "It opens at eleven [1].", "second"),
        (OPEN, HR, "It opens at five [1].", "staff"),
        ("How do I renew a loan?", HR, "Staff renew it [1].", "staff"),
    ),
)
MARKS = {each: marks_of(FILTERED.fields, FILTERED.marks.get(each, {})) for each in FILTERED.documents}
ASKED: list[tuple[str, Filters]] = [(question, ()) for question in FILTERED.answers]
ASKED += [(question, filters) for question, filters, _, _ in FILTERED.variants]
COLLECTION: dict[str, CollectionSettings] = {
    "library": CollectionSettings(
        documents=[],
        filters=["version", "audience"],
        filter_defaults={"version": "2"},
        key_filters=["audience"],
    )
}
KEYS: dict[str, Any] = {
    "hr": {"hash": hash_key("hr"), "filters": {"audience": " HR "}},
    "plain": {"hash": hash_key("plain")},
}


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Path:
    """A data folder with one release, to be copied."""
    data = tmp_path_factory.mktemp("filtered")
    Library(data, encoder_folder).publish(library=FILTERED)
    return data


@pytest.fixture
def client(library: Library, filtered: Path, serve: Serve) -> httpx.Client:
    shutil.copytree(filtered, library.data)
    return serve(COLLECTION, keys=KEYS, public_page=["library"])


def ask(client: httpx.Client, question: str = OPEN, key: str = "", **more: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return client.post("/v1/answers", json={"question": question, **more}, headers=headers)


def test_the_same_words_are_answered_by_the_values_that_they_are_asked_with(client: httpx.Client) -> None:
    first = ask(client, filters={"version": 1}).json()
    default = ask(client).json()
    staff = ask(client, key="hr").json()

    assert [each["answer"] for each in (first, default, staff)] == [
        "It opens at nine [1].", "It opens at eleven [1].", "It opens at five [1].",
    ]  # fmt: skip
    assert {each["source"] for each in (first, default, staff)} == {"exact"}
    assert [each["filters"] for each in (first, default, staff)] == [dict(V1), dict(V2), dict(HR)]


def test_a_request_names_what_is_declared_and_its_own_to_choose(client: httpx.Client) -> None:
    cases: list[tuple[str, dict[str, str], int, str]] = [
        ("", {"product": "x"}, 422, "does not declare the filter 'product'; its filters are version, audience"),
        ("", {"version": " "}, 422, "has no value"),
        ("", {"audience": "hr"}, 403, "Only an API key sets the filter 'audience'"),
        ("plain", {"audience": "hr"}, 403, "Only an API key sets the filter 'audience'"),
        ("hr", {"audience": "legal"}, 403, "fixes the filter 'audience' to 'hr'"),
        ("hr", {"audience": "Hr"}, 200, "at five"),
    ]
    for key, filters, status, said in cases:
        answer = ask(client, key=key, filters=filters)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_nothing_that_is_shown_ever_breaks_the_filters(client: httpx.Client) -> None:
    wordings = ["At what time does the library open?", "How can I renew a loan?", *(question for question, _ in ASKED)]

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(
        st.sampled_from(wordings),
        st.sampled_from(["1", "2", "3", None]),
        st.sampled_from(["", "plain", "hr"]),
        st.booleans(),
    )
    def property_holds(question: str, version: str | None, key: str, fresh: bool) -> None:
        values = {"version": version or "2"} | ({"audience": "hr"} if key == "hr" else {})
        filters = tuple(sorted(values.items()))
        headers = ({"authorization": f"Bearer {key}"} if key else {}) | ({"cache-control": "no-cache"} if fresh else {})
        named = {"version": version} if version else None
        body = {"question": question, "filters": named, "explain": True}
        answer = client.post("/v1/answers", json=body, headers=headers).json()

        assert answer["filters"] == values
        assert all(fits(MARKS[each["document_id"]], filters) for each in answer["citations"])
        equal = {query_key("library", *each) for each in ASKED if each[1] == filters}
        shown = [*answer["explanation"].get("candidates", []), *answer.get("suggestions", [])]
        assert {each["query_key"] for each in shown} <= equal
        if key:
            chat = {"model": "beforehand", "messages": [{"role": "user", "content": question}], "filters": named}
            cited = client.post("/v1/chat/completions", json=chat, headers=headers).json()["beforehand"]["citations"]
            assert all(fits(MARKS[each["document_id"]], filters) for each in cited)
            grounded = {**chat, "messages": [{"role": "system", "content": "Be brief."}, *chat["messages"]]}  # type: ignore[misc]
            cited = client.post("/v1/chat/completions", json=grounded, headers=headers).json()["beforehand"][
                "citations"
            ]
            assert all(fits(MARKS[each["document_id"]], filters) for each in cited)
            parameters = {"q": question, "filter": f"version:{values['version']}"}
            found = client.get("/v1/questions", params=parameters, headers=headers).json()
            within = {query_key("library", *each) for each in ASKED if set(each[1]) <= set(filters)}
            assert {each["query_key"] for each in found["questions"]} == within
            assert found["total"] == len(within)

    property_holds()


def test_the_page_shows_visitors_only_what_has_no_filters_or_the_defaults(client: httpx.Client) -> None:
    page = client.get("/").text
    keys = {filters: query_key("library", OPEN, filters) for filters in (V1, V2, HR)}
    statuses = {filters: client.get(f"/questions/{key}").status_code for filters, key in keys.items()}
    as_staff = client.get(f"/questions/{keys[HR]}", headers={"authorization": "Bearer hr"})

    listed = set(re.findall(r'href="/questions/([0-9a-f]{32})"', page))
    assert listed == {keys[V2], query_key("library", "What does a lost card cost?")}
    assert statuses == {V1: 404, V2: 200, HR: 404}
    assert "at five" in as_staff.text


def test_a_rejection_and_a_false_hit_are_about_the_question_with_its_filters(client: httpx.Client) -> None:
    wording = "Please, when does the library open?"
    hit = ask(client, wording, filters={"version": "1"}).json()
    assert (hit["source"], hit["answer"]) == ("semantic", "It opens at nine [1].")

    said = {"request_id": hit["id"], "false_hit": {"question": wording, "query_key": hit["query_key"]}}
    assert client.post("/v1/feedback", json=said).json()["tombstoned"] is True

    assert ask(client, wording, filters={"version": "1"}).json()["source"] == "live"
    assert ask(client, wording).json()["source"] == "semantic"


def test_an_answer_that_is_asked_for_later_keeps_the_filters(client: httpx.Client) -> None:
    headers = {"authorization": "Bearer hr", "prefer": "respond-async, wait=20"}
    answer = client.post("/v1/answers", json={"question": "Who opens the library?"}, headers=headers).json()

    assert (answer["source"], answer["filters"]) == ("live", dict(HR))
    assert {each["document_id"] for each in answer["citations"]} <= {"everyone", "second", "staff"}


def test_the_journal_keeps_what_a_question_was_asked_with(client: httpx.Client, library: Library) -> None:
    ask(client, key="hr")
    client.app.state.service.journal.close()  # type: ignore[attr-defined]

    (row,) = [row for row in journal(library.data) if row["kind"] == "request"]
    assert row["filters"] == '{"audience":"hr","version":"2"}'


def test_the_model_is_not_sent_the_filters_of_a_chat(client: httpx.Client, serve: Serve) -> None:
    messages = [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": OPEN}]
    chat = {"model": "beforehand", "messages": messages, "filters": {"version": "1"}}
    client.post("/v1/chat/completions", json=chat, headers={"authorization": "Bearer plain"})

    assert "filters" not in serve.llm.requests[-1]
    assert "at nine" in str(serve.llm.requests[-1])
    assert "at five" not in str(serve.llm.requests[-1])


def test_a_release_without_the_declared_filters_serves_nothing_of_the_collection(
    library: Library, serve: Serve
) -> None:
    library.publish(library=LIBRARY)
    client = serve({"library": CollectionSettings(documents=[], filters=["audience"])})

    answer = ask(client)

    assert (answer.status_code, "next release" in answer.text) == (503, True)


def test_a_key_names_filters_that_a_collection_of_it_declares_and_reviewers_none() -> None:
    def key(**settings: object) -> ServiceSettings:
        return ServiceSettings.model_validate({"keys": {"a": {"hash": hash_key("a"), **settings}}})

    with pytest.raises(ConfigurationError, match="declares the filter 'audiance'; did you mean 'audience'"):
        keys_of(key(filters={"audiance": "hr"}), COLLECTION)
    with pytest.raises(ConfigurationError, match="reviewers and readers of the report see every answer"):
        keys_of(key(filters={"audience": "hr"}, scopes=["review"]), COLLECTION)
