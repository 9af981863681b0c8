"""What the headers and the body of a question ask for."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.answering.asked_question import asked_by
from online.errors import Problem
from online.http.authentication import Caller
from online.http.openai_schemas import ChatRequest
from online.http.problems import status_of
from online.http.request_parsing import Directives, directives, read_ask, read_fields
from online.http.schemas import Ask
from rag.identity import query_key

JSON = {b"content-type": b"application/json"}
ANYONE = Caller(None, frozenset({"ask"}), ("library",))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Directives()),
        ({b"cache-control": b"no-cache"}, Directives(fresh=True)),
        ({b"cache-control": b"No-Store, max-age=0"}, Directives(private=True)),
        ({b"cache-control": b"no-cache,no-store"}, Directives(fresh=True, private=True)),
        ({b"prefer": b"respond-async"}, Directives(later=True)),
        ({b"prefer": b"respond-async, wait=5"}, Directives(later=True, wait=5)),
        ({b"prefer": b'wait="7"; respond-async'}, Directives(later=True, wait=7)),
        ({b"prefer": b"wait=soon"}, Directives()),
        ({b"prefer": b"return=minimal, wait=99999999999"}, Directives()),
        ({b"cache-control": b"\xff\xfe"}, Directives()),
    ],
)
def test_headers_are_read_and_unknown_values_ignored(headers: dict[bytes, bytes], expected: Directives) -> None:
    assert directives(headers) == expected


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_header_can_be_read(cache_control: bytes, prefer: bytes) -> None:
    found = directives({b"cache-control": cache_control, b"prefer": prefer})
    assert found.wait >= 0


@given(st.binary(max_size=200))
def test_a_body_is_a_question_or_a_problem_and_nothing_else(body: bytes) -> None:
    try:
        ask = read_ask(JSON, body)
    except Problem as problem:
        assert status_of(problem.kind) in {400, 422}
    else:
        assert 1 <= len(ask.question) <= 2000


@given(st.binary(max_size=200))
def test_a_body_with_further_fields_is_read_or_a_problem_too(body: bytes) -> None:
    try:
        chat, fields = read_fields(JSON, body, ChatRequest)
    except Problem as problem:
        assert status_of(problem.kind) in {400, 422}
    else:
        assert chat.model == fields["model"]


@given(st.text(min_size=1, max_size=50), st.booleans(), st.booleans())
def test_a_question_keeps_its_words_and_gets_its_key(question: str, explain: bool, stream: bool) -> None:
    asked = asked_by(ANYONE, Ask(question, None, explain, stream), Directives(), "r1", 0.0)
    assert (asked.question, asked.explain, asked.stream) == (question, explain, stream)
    assert asked.query_key == query_key("library", question)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"question": 5}, "question"),
        ({"question": ""}, "question"),
        ({"question": "x", "collection": 5}, "collection"),
        ({"question": "x", "stream": "yes"}, "stream"),
        ({"collection": "x"}, "question"),
        ({"question": "x", "answer": "y"}, "answer"),
    ],
)
def test_the_problem_names_the_field(body: dict[str, object], field: str) -> None:
    with pytest.raises(Problem) as caught:
        read_ask({b"content-type": b"application/json"}, msgspec.json.encode(body))
    assert status_of(caught.value.kind) == 422
    assert caught.value.param == field


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/json",
        b"application/json; charset=utf-8",
        b"Application/JSON",
        b" application/json ;x=y",
        b"application/ld+json",
    ],
)
def test_json_is_accepted_under_any_json_media_type(media_type: bytes) -> None:
    assert read_ask({b"content-type": media_type}, b'{"question": "x"}').question == "x"


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        b"",
        b"text/plain",
        b"text/plain; x=json",
        b"text/plain;application/json",
        b"text/json",
        b"application/jsonp",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=json",
        b"application/json, text/plain",
        b"application/+json",
    ],
)
def test_a_body_that_is_not_said_to_be_json_is_refused(media_type: bytes | None) -> None:
    headers = {} if media_type is None else {b"content-type": media_type}
    with pytest.raises(Problem, match="application/json") as caught:
        read_ask(headers, b'{"question": "x"}')
    assert status_of(caught.value.kind) == 415
