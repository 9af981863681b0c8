"""Asking a running service from the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from beforehand.commands.asking import ask_service, render_answer
from rag.errors import LlmUnavailableError, QuestionError
from tests.fake_llm import served

ANSWER: dict[str, Any] = {
    "answer": "Descale the machine every three months [1].",
    "source": "exact",
    "model": "small@1",
    "release": "20261124T020000-ab12",
    "citations": [
        {"number": 1, "kind": "cited", "title": "Cleaning", "heading": "Descaling", "passage": "Every three months …"}
    ],
    "timings": {"total_ms": 0.8},
}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    async def answers(request: Request) -> JSONResponse:
        question = (await request.json())["question"]
        if question == "?":
            return JSONResponse({"title": "Not a question", "detail": "it is empty"}, 422)
        if question == "down":
            body = {
                "title": "No live answers",
                "detail": "try later",
                "suggestions": [{"question": "How do I descale?"}],
            }
            return JSONResponse(body, 503)
        if question == "mine":
            return JSONResponse({**await request.json(), "key": request.headers["authorization"]})
        return JSONResponse({**ANSWER, "question": question})

    with served(Starlette(routes=[Route("/v1/answers", answers, methods=["POST"])])) as url:
        yield url.removesuffix("/v1")


def test_an_answer_is_shown_with_its_sources_and_origin(service: str) -> None:
    shown = render_answer(ask_service(service, "How often do I descale?"))
    assert shown.startswith("Descale the machine every three months [1].")
    assert "Sources\n  [1] Cleaning — Descaling" in shown
    assert shown.endswith("exact · small@1 · 20261124T020000-ab12 · 0.8 ms")


def test_consulted_passages_are_labelled_as_consulted() -> None:
    consulted = {**ANSWER, "citations": [{**ANSWER["citations"][0], "kind": "consulted"}]}
    assert "Sources consulted" in render_answer(consulted)


def test_a_key_and_a_collection_are_sent(service: str) -> None:
    sent = ask_service(service, "mine", collection="helpdesk", key="bf-1")
    assert (sent["collection"], sent["key"]) == ("helpdesk", "Bearer bf-1")


def test_a_refusal_is_shown_in_the_words_of_the_service(service: str) -> None:
    with pytest.raises(QuestionError, match="Not a question: it is empty"):
        ask_service(service, "?")


@pytest.mark.parametrize(
    ("question", "sentence"), [("", "is empty"), (" \n", "is empty"), ("caf\udce9?", "is not UTF-8")]
)
def test_an_invalid_question_is_refused_before_it_is_sent(question: str, sentence: str) -> None:
    with pytest.raises(QuestionError, match=f"the question {sentence}; "):
        ask_service("http://127.0.0.1:9", question)


def test_a_local_service_is_reached_without_the_proxy(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert ask_service(service, "Why?")["question"] == "Why?"


def test_a_remote_service_is_reached_through_the_proxy(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", service)

    assert ask_service("http://answers.example", "Why?")["question"] == "Why?"


@pytest.mark.parametrize("address", ["http://localhost:port", "http://[::1", "localhost:8000", "nowhere"])
def test_an_invalid_address_is_reported_in_one_sentence(address: str) -> None:
    with pytest.raises(LlmUnavailableError, match="no service answers at"):
        ask_service(address, "Why?")


def test_when_the_model_is_down_the_anticipated_questions_are_suggested(service: str) -> None:
    with pytest.raises(LlmUnavailableError, match=r"try later\nAnticipated are:\n  How do I descale\?"):
        ask_service(service, "down")


def test_without_a_service_one_sentence_says_what_to_do() -> None:
    with pytest.raises(LlmUnavailableError, match="start one with `beforehand serve`"):
        ask_service("http://127.0.0.1:9", "anything")
