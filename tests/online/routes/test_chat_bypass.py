"""Chats that bypass the cache and are passed on as they are, seen by the official OpenAI client."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import openai
import pytest

from online.app import create_app
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.llm.openai_client import OpenAIEndpoint
from tests.fake_llm import MODEL, FakeLlm, served
from tests.online.conftest import LIBRARY, Library, Serve, recorded

PREPARED = "When does the library open?"


@pytest.fixture
def client(library: Library, published: Path, serve: Serve) -> httpx.Client:
    """The service, which passes such chats on as they are."""
    shutil.copytree(published, library.data)
    return serve(bypass="plain")


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    "shape",
    [
        {"messages": [{"role": "system", "content": "Speak like a pirate."}, *user(PREPARED)]},
        {"messages": [*user(PREPARED), {"role": "assistant", "content": "At nine."}, *user("And on Sundays?")]},
        {"response_format": {"type": "json_object"}},
        {"n": 2},
        {
            "tools": [{"type": "function", "function": {"name": "clock", "parameters": {}}}],
            "tool_choice": "required",
        },
        {"stop": ["."]},
        {"max_tokens": 3},
        {"logprobs": True},
    ],
)
def test_chats_that_shape_their_answer_go_to_the_model_unchanged(
    official: openai.OpenAI, llm: FakeLlm, shape: dict[str, object]
) -> None:
    raw = official.chat.completions.with_raw_response.create(
        **{"model": "beforehand/library", "messages": user(PREPARED), **shape}
    )
    assert raw.headers["cache-status"] == "beforehand; fwd=bypass"
    assert raw.parse().choices[0].message.content == llm.behaviour.text
    sent = llm.requests[0]
    assert sent["model"] == "fake-model"
    assert {name: sent[name] for name in shape} == shape


@pytest.mark.parametrize("stream", [False, True])
def test_a_bypassed_chat_that_breaks_off_is_an_error(
    official: openai.OpenAI, llm: FakeLlm, library: Library, *, stream: bool
) -> None:
    llm.behaviour.break_stream_after = 2
    messages = [{"role": "system", "content": "Be brief."}, *user("Where can I park?")]
    with pytest.raises(openai.APIError, match="gave no answer"):
        list(official.chat.completions.create(model="m", messages=messages, stream=stream))
    records = recorded(library.data)
    assert records[0]["status"] == 503


TOO_LONG = {"message": "At most 2048 tokens fit.", "type": "x", "param": "max_tokens", "code": "too_long"}


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("wish", [{"tools": [{"type": "function", "function": {"name": "f"}}]}, {"max_tokens": 9999}])
def test_the_models_refusal_of_the_callers_parameters_reaches_the_caller(
    official: openai.OpenAI, llm: FakeLlm, status: int, wish: dict[str, object]
) -> None:
    llm.behaviour.fail_with, llm.behaviour.error = status, TOO_LONG
    with pytest.raises(openai.APIStatusError) as caught:
        official.chat.completions.create(model="m", messages=user("Where can I park?"), **wish)
    error = caught.value
    assert (error.status_code, error.param, error.code) == (status, "max_tokens", "too_long")
    assert error.response.json()["error"]["message"] == "At most 2048 tokens fit."
    assert error.response.headers["x-should-retry"] == "false"


def test_the_models_refusal_of_our_own_prompt_does_not(official: openai.OpenAI, llm: FakeLlm) -> None:
    llm.behaviour.fail_with, llm.behaviour.error = 400, TOO_LONG
    with pytest.raises(openai.InternalServerError) as caught:
        official.chat.completions.create(model="m", messages=user("Where can I park?"))
    assert caught.value.status_code == 502
    assert "2048" not in caught.value.message


class WithoutForwarding:
    """A language model that takes messages alone, as the one in this process does."""

    def __init__(self, endpoint: OpenAIEndpoint) -> None:
        self.model = endpoint.model
        self.complete = endpoint.complete
        self.stream = endpoint.stream


def test_a_model_in_this_process_chats_too_and_names_what_it_can_not_take(library: Library, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    endpoint = OpenAIEndpoint(llm.url, MODEL)
    collections = {"library": CollectionSettings(documents=[])}
    settings = ServiceSettings.model_validate({"bypass": "plain"})
    app = create_app(settings, library.data, collections, WithoutForwarding(endpoint), on_stop=endpoint.aclose)
    messages = [{"role": "system", "content": "Speak like a pirate."}, *user(PREPARED)]
    with served(app) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as official:
        whole = official.chat.completions.create(model="m", messages=messages, temperature=0.5, max_tokens=7)
        chunks = official.chat.completions.create(model="m", messages=messages, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        with pytest.raises(openai.UnprocessableEntityError, match="logit_bias"):
            official.chat.completions.create(model="m", messages=messages, logit_bias={"5": 1})
    assert whole.choices[0].message.content == text == llm.behaviour.text
    assert llm.requests[0]["messages"] == messages
    assert (llm.requests[0]["temperature"], llm.requests[0]["max_tokens"]) == (0.5, 7)


def test_a_bypass_leaves_no_text_in_the_journal(client: httpx.Client, library: Library) -> None:
    messages = [{"role": "system", "content": "Be secret."}, *user("My number is 4711")]
    assert client.post("/v1/chat/completions", json={"model": "beforehand", "messages": messages}).status_code == 200
    records = recorded(library.data)
    assert records[0]["source"] == "bypass"
    assert "4711" not in json.dumps(records)
