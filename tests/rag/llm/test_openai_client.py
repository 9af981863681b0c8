"""The client of an OpenAI-compatible server: replies, refusals, broken streams, missing servers.

The server is real, on its own port, and sends exactly the bytes of the test.
"""

import asyncio
import base64
import json
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import LlmError, LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError, Refusal
from rag.llm.openai_client import OpenAIEndpoint
from rag.llm.protocol import Message, Sampling
from tests.fake_llm import FakeLlm, served

CHAT = [Message("system", "Be brief."), Message("user", "Why? \u2028 — {x}")]
ANSWER = {
    "model": "served-model",
    "choices": [
        {
            "message": {"role": "assistant", "content": "Because.", "reasoning_content": "Hm.", "tool_calls": []},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}},
}


class Server:
    """Sends the given bytes to each request in order, the last one repeatedly, and keeps the requests."""

    def __init__(self, *says, close=True):
        self.says = list(says)
        self.close = close
        self.asked = []
        self.headers = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, reader, writer):
        self.connections += 1
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                self.asked.append(json.loads(await reader.readexactly(length)))
                self.headers.append(head)
                self.arrived.set()
                writer.write(self.says.pop(0) if len(self.says) > 1 else self.says[0])
                await writer.drain()
                if self.close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def serving(server, **options):
    listener = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    endpoint = OpenAIEndpoint(f"http://127.0.0.1:{port}/v1/", "asked-model", **{"timeout": 10.0, **options})
    try:
        yield endpoint
    finally:
        await endpoint.aclose()
        listener.close()


def http(body, status=200, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def events(*chunks, done=True, escaped=False):
    """A streamed response that ends when the connection closes."""
    body = "".join(f"data: {json.dumps(chunk, ensure_ascii=escaped)}\n\n" for chunk in chunks)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    return head + (body + "data: [DONE]\n\n" * done).encode()


def delta(text=None, finish=None, **more):
    content = {} if text is None else {"content": text}
    return {"model": "served-model", "choices": [{"delta": {**content, **more}, "finish_reason": finish}]}


def ask(*says, sampling=Sampling(), **options):  # noqa: B008 - it is frozen
    async def run():
        server = Server(*says)
        async with serving(server, **options) as endpoint:
            return await endpoint.complete(CHAT, sampling), server

    return asyncio.run(run())


def stream(*says, sampling=Sampling(), **options):  # noqa: B008 - it is frozen
    """Return the deltas of a stream and the error that ended it, if any."""

    async def run():
        found = []
        async with serving(Server(*says), **options) as endpoint:
            try:
                async for each in endpoint.stream(CHAT, sampling):
                    found.append(each)
            except LlmError as error:
                return found, error
        return found, None

    return asyncio.run(run())


def test_a_completion_has_its_finish_reason_tokens_and_whole_message():
    completion, _ = ask(http(ANSWER))

    assert (completion.text, completion.finish_reason, completion.model) == ("Because.", "stop", "served-model")
    assert (completion.prompt_tokens, completion.completion_tokens, completion.cached_tokens) == (12, 3, 8)
    assert completion.message == ANSWER["choices"][0]["message"]


def test_a_minimal_reply_is_understood():
    completion, _ = ask(http({"choices": [{"message": {"content": None}}]}))

    assert (completion.text, completion.model, completion.completion_tokens) == ("", "asked-model", 0)


def test_every_sampling_parameter_reaches_the_model():
    sampling = Sampling(7, 0.5, 0.9, 1.2, 0.3, 1.1, 42, ("END", "\n\n"))

    _, server = ask(http(ANSWER), sampling=sampling, api_key="sk-1")

    assert server.asked == [
        {
            "model": "asked-model",
            "messages": [{"role": each.role, "content": each.content} for each in CHAT],
            "max_tokens": 7,
            "temperature": 0.5,
            "top_p": 0.9,
            "frequency_penalty": 1.2,
            "presence_penalty": 0.3,
            "repetition_penalty": 1.1,
            "seed": 42,
            "stop": ["END", "\n\n"],
            "stream": False,
        }
    ]
    assert "authorization: bearer sk-1" in server.headers[0]
    assert server.headers[0].startswith("post /v1/chat/completions ")


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ({"content": [{"top_logprobs": [{"token": "Yes", "logprob": 0.0}, {"token": "No", "logprob": -800.0}]}]},
         {"Yes": 1.0, "No": 0.0}),
        ({"content": []}, {}),
        ({"content": [{"top_logprobs": [{"token": "Yes", "logprob": "high"}]}]}, {}),
        ("none", {}),
        (None, {}),
    ],
)  # fmt: skip
def test_the_likeliest_first_tokens_are_read_as_far_as_they_are_there(logprobs, expected):
    answer = {"choices": [{"message": {"content": "Yes"}, "logprobs": logprobs}]}

    completion, server = ask(http(answer), sampling=Sampling(top_logprobs=5))

    assert completion.first_tokens == expected
    assert (server.asked[0]["logprobs"], server.asked[0]["top_logprobs"]) == (True, 5)


def test_zero_is_sent_and_unset_parameters_are_not():
    _, server = ask(http(ANSWER), sampling=Sampling(temperature=0.0, seed=0))

    assert (server.asked[0]["temperature"], server.asked[0]["seed"]) == (0.0, 0)
    assert not {"stop", "frequency_penalty", "presence_penalty", "repetition_penalty"} & set(server.asked[0])

    _, server = ask(http(ANSWER), sampling=Sampling(seed=None))

    assert "seed" not in server.asked[0]


def test_a_stream_yields_the_pieces_and_then_the_whole_completion():
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}

    deltas, error = stream(
        events(
            delta("", role="assistant", reasoning_content="Hm"),
            delta(reasoning_content=", well."),
            delta("Be"),
            delta("cause."),
            delta(finish="length"),
            usage,
        )
    )

    assert error is None
    assert [(each.text, each.others) for each in deltas] == [
        ("", {"reasoning_content": "Hm"}),
        ("", {"reasoning_content": ", well."}),
        ("Be", {}),
        ("cause.", {}),
        ("", {}),
    ]
    assert [each.completion for each in deltas[:-1]] == [None] * 4
    whole = deltas[-1].completion
    assert (whole.text, whole.finish_reason, whole.model) == ("Because.", "length", "served-model")
    assert (whole.prompt_tokens, whole.completion_tokens) == (5, 2)
    assert whole.message == {"role": "assistant", "content": "Because.", "reasoning_content": "Hm, well."}


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8), max_size=6))
@settings(deadline=None, max_examples=25)
def test_a_streamed_text_arrives_unchanged(pieces):
    """U+2028, U+0085 and similar characters are not escaped in JSON, and don't end a line of a stream."""
    deltas, error = stream(events(*(delta(piece) for piece in [*pieces, "a\u2028b\x85c"]), delta(finish="stop")))

    assert error is None
    assert "".join(each.text for each in deltas) == "".join(pieces) + "a\u2028b\x85c"
    assert deltas[-1].completion.text == "".join(pieces) + "a\u2028b\x85c"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["A \ud83d b"], ["A \ufffd b"]),
        (["A \ud83d", "\ude00 b"], ["A ", "\U0001f600 b"]),
        (["A \ud83d", " b"], ["A ", "\ufffd b"]),
        (["\ude00"], ["\ufffd"]),
        (["A", "\ud83d"], ["A", "\ufffd"]),
    ],
)
def test_half_a_character_is_joined_with_its_other_half_or_replaced(pieces, said):
    """A server that splits a character into tokens may send its halves one by one, as JSON allows."""
    for name in ("content", "reasoning_content"):
        chunks = [{"choices": [{"delta": {name: piece}}]} for piece in pieces]

        deltas, error = stream(events(*chunks, delta(finish="stop"), escaped=True))

        assert error is None
        told = [each.text if name == "content" else each.others.get(name, "") for each in deltas]
        assert [each for each in told if each] == said
        assert deltas[-1].completion.message[name] == "".join(said)

    whole, _ = ask(http({"choices": [{"message": {"content": "".join(pieces), "reasoning_content": pieces[-1]}}]}))

    assert whole.text == "".join(said)
    assert whole.message["reasoning_content"].encode()


def forward(says, **fields):
    """Return what is forwarded and the error that ended it, if any."""

    async def run():
        found = []
        async with serving(Server(says)) as endpoint:
            try:
                async for piece in endpoint.forward({"messages": [], **fields}):
                    found.append(piece)
            except LlmUnavailableError as error:
                return b"".join(found), error
        return b"".join(found), None

    return asyncio.run(run())


def test_a_whole_response_is_forwarded_unchanged():
    said = b'{"choices": [], "x" : "\\ud83d"}'

    assert forward(http(said)) == (said, None)


@pytest.mark.parametrize("said", [b'{"id": "x", "crea', b'data: {"error": {}}\n\n', b"", b"\xff"])
def test_a_response_that_is_not_json_is_not_forwarded(said):
    passed_on, error = forward(http(said))

    assert passed_on == b""
    assert isinstance(error, LlmUnavailableError)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b""])
def test_a_stream_is_forwarded_unchanged(end):
    body = b': ping\n\ndata: {"choices": [{"delta": {"content": "\\"error\\""}}]}\n\ndata: [DONE]' + end

    passed_on, error = forward(b"HTTP/1.1 200 OK\r\n\r\n" + body, stream=True)

    assert error is None
    assert passed_on.rstrip() == body.rstrip()


def test_a_forwarded_stream_without_an_end_raises_after_its_whole_lines():
    body = events(delta("Be"), delta("cause."), delta(finish="stop"), done=False)
    first = body.index(b"data")

    for length in (*range(first, len(body), 7), len(body)):
        passed_on, error = forward(body[:length], stream=True)
        assert isinstance(error, LlmUnavailableError)
        assert passed_on == body[first : body.rfind(b"\n", first, length) + 1]


def test_an_error_inside_a_forwarded_stream_raises():
    said = events(delta("Be"), {"error": {"message": "the engine died"}})

    passed_on, error = forward(said, stream=True)

    assert b"the engine died" in passed_on
    assert "broke off: the engine died" in str(error)


def test_comments_and_other_fields_of_a_stream_are_skipped():
    said = events(delta("A", finish="stop")).replace(b"data: {", b": ping\r\nevent: x\r\nid: 1\r\ndata:{", 1)

    deltas, error = stream(said)

    assert error is None
    assert deltas[-1].completion.text == "A"


def test_a_stream_that_breaks_off_raises_after_its_pieces():
    deltas, error = stream(events(delta("Be"), delta("cau"), done=False))

    assert [each.text for each in deltas] == ["Be", "cau"]
    assert isinstance(error, LlmUnavailableError)
    assert "broke off" in str(error)


def test_a_stream_that_breaks_off_inside_a_chunk_raises():
    whole = events(delta("Be"), delta("cause."), delta(finish="stop"), done=False)

    for length in range(whole.index(b"data"), len(whole) - 1, 7):
        _, error = stream(whole[:length])
        assert isinstance(error, LlmUnavailableError), whole[:length]


def test_a_connection_lost_in_mid_stream_raises():
    said = events(delta("Be")).replace(b"\r\n\r\n", b"\r\ncontent-length: 5000\r\n\r\n")

    _, error = stream(said.replace(b"data: [DONE]\n\n", b""))

    assert isinstance(error, LlmUnavailableError)


def test_an_error_in_mid_stream_is_reported():
    deltas, error = stream(events(delta("Be"), {"error": {"message": "the engine died", "code": 500}}))

    assert [each.text for each in deltas] == ["Be"]
    assert "broke off: the engine died" in str(error)


@pytest.mark.parametrize("status", [400, 413, 422, 301])
def test_a_bad_request_is_refused_with_the_message_of_the_server(status):
    says = http({"error": {"message": "too many\n tokens", "type": "x"}}, status)

    with pytest.raises(LlmRefusedError, match=f"answered {status}: too many tokens$"):
        ask(says)
    assert isinstance(stream(says)[1], LlmRefusedError)


@pytest.mark.parametrize(("status", "setting"), [(401, "api_key"), (403, "api_key"), (404, "model")])
def test_a_server_that_refuses_every_request_names_the_setting_to_check(status, setting):
    says = http({"error": {"message": "no"}}, status)

    with pytest.raises(LlmMisconfiguredError, match=rf"answered {status}: no; check \[llm\] {setting}"):
        ask(says)
    assert isinstance(stream(says)[1], LlmMisconfiguredError)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"message": "Too hot.", "param": "temperature", "code": "hot"}},
         Refusal(400, "Too hot.", "temperature", "hot")),
        (422, {"error": {"message": " Too hot. \ud83d", "param": None, "code": 422}}, Refusal(422, "Too hot. \ufffd")),
        (400, {"object": "error", "message": "Too hot.", "code": 400}, Refusal(400, "Too hot.")),
        (400, {"error": {"message": "x" * 5000}}, Refusal(400, "x" * 1000)),
        (400, {"error": {"message": ""}}, None),
        (400, {"error": "Too hot."}, None),
        (422, {"detail": []}, None),
        (400, [], None),
        (400, b"<html>", None),
        (413, {"error": {"message": "Too large."}}, None),
    ],
)  # fmt: skip
def test_a_refusal_keeps_the_fields_meant_for_the_caller(status, body, expected):
    with pytest.raises(LlmRefusedError) as caught:
        ask(http(body, status))

    assert caught.value.refusal == expected


def test_an_error_body_that_breaks_off_makes_the_server_unavailable():
    said = http(b"x" * 50, 500).replace(b"content-length: 50", b"content-length: 5000")

    with pytest.raises(LlmUnavailableError):
        ask(said)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_an_overloaded_or_broken_server_is_unavailable(status):
    says = http(b"<html>busy</html>", status)

    with pytest.raises(LlmUnavailableError, match=f"answered {status}: <html>busy</html>"):
        ask(says)
    assert isinstance(stream(says)[1], LlmUnavailableError)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
        ({"retry_after": "999999999"}, 3600.0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "\u00b2"}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_passed_on(headers, wait):
    with pytest.raises(LlmUnavailableError) as caught:
        ask(http({}, 429, **headers))

    assert caught.value.retry_after == wait


def test_a_retry_after_date_becomes_seconds():
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)

    with pytest.raises(LlmUnavailableError) as caught:
        ask(http({}, 503, retry_after=at))

    assert 50 < caught.value.retry_after <= 100


NONSENSE = [
    b"",
    b"hello",
    b"\xff\xfe",
    b"[]",
    b"5",
    b"null",
    b'"text"',
    b"{}",
    b'{"choices": []}',
    b'{"choices": [null]}',
    b'{"choices": ["x"]}',
    b'{"choices": [{"message": "x"}]}',
    b'{"choices": [{"message": {"content": [1]}}]}',
    b'{"choices": [{"message": {"content": "x"}}], "usage": 5}',
    b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1e999}}',
]


@pytest.mark.parametrize("body", NONSENSE)
def test_an_unreadable_reply_makes_the_server_unavailable(body):
    with pytest.raises(LlmUnavailableError, match="is not a chat completion"):
        ask(http(body))


@pytest.mark.parametrize("payload", [each for each in NONSENSE if each] + [b'{"choices": [{"delta": "x"}]}'])
def test_an_unreadable_chunk_makes_the_server_unavailable(payload):
    deltas, error = stream(events(delta("A"), done=False) + b"data: " + payload + b"\n\n")

    assert [each.text for each in deltas if each.text] in (["A"], ["A", "[1]"])
    assert isinstance(error, LlmUnavailableError)


@given(st.binary(max_size=80))
@settings(deadline=None, max_examples=25)
def test_arbitrary_bytes_instead_of_http_make_the_server_unavailable(garbage):
    with pytest.raises(LlmUnavailableError):
        ask(garbage)


def test_a_missing_server_is_named_with_what_to_do():
    async def run():
        async with serving(Server(b"")) as endpoint:
            base_url = endpoint._base_url
        closed = OpenAIEndpoint(base_url, "m", timeout=5.0)
        try:
            await closed.complete(CHAT, Sampling())
        finally:
            await closed.aclose()

    with pytest.raises(LlmUnavailableError, match=r"can't be reached.*beforehand llm") as caught:
        asyncio.run(run())
    assert not caught.value.reached


def test_a_silent_server_times_out():
    async def run():
        async with serving(Server(b"", close=False), timeout=0.05) as endpoint:
            await endpoint.complete(CHAT, Sampling())

    with pytest.raises(LlmUnavailableError, match="took too long"):
        asyncio.run(run())


def test_a_stalled_stream_times_out():
    async def run():
        deltas = []
        server = Server(events(delta("A"), done=False), close=False)
        async with serving(server, timeout=1.0) as endpoint:
            with pytest.raises(LlmUnavailableError, match="took too long"):
                async for each in endpoint.stream(CHAT, Sampling()):
                    deltas.append(each.text)
        return deltas

    assert asyncio.run(run()) == ["A"]


def test_a_request_that_reached_the_server_is_never_sent_twice():
    async def run():
        server = Server(b"")  # accepts the request and closes the connection
        async with serving(server) as endpoint:
            with pytest.raises(LlmUnavailableError) as caught:
                await endpoint.complete(CHAT, Sampling())
            assert caught.value.reached
        return server.asked

    assert len(asyncio.run(run())) == 1


def test_requests_share_a_connection():
    async def run():
        server = Server(http(ANSWER), close=False)
        async with serving(server) as endpoint:
            for _ in range(3):
                await endpoint.complete(CHAT, Sampling())
        return server

    server = asyncio.run(run())

    assert (len(server.asked), server.connections) == (3, 1)


def test_cancelling_a_call_closes_its_connection():
    async def run():
        server = Server(b"", close=False)
        async with serving(server) as endpoint:
            call = asyncio.create_task(endpoint.complete(CHAT, Sampling()))
            await asyncio.wait_for(server.arrived.wait(), 10)
            call.cancel()
            await asyncio.wait_for(server.gone.wait(), 10)
            assert call.cancelled()

    asyncio.run(run())


def test_closing_a_stream_closes_its_connection():
    async def run():
        server = Server(events(delta("A"), delta("B"), done=False), close=False)
        async with serving(server) as endpoint:
            async with aclosing(endpoint.stream(CHAT, Sampling())) as deltas:
                async for each in deltas:
                    assert each.text == "A"
                    break
            await asyncio.wait_for(server.gone.wait(), 10)

    asyncio.run(run())


def test_the_proxy_of_the_environment_is_not_used_for_this_machine(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    completion, _ = ask(http(ANSWER))

    assert completion.text == "Because."


@pytest.mark.parametrize("status", [400, 401, 503])
def test_a_server_that_quotes_the_key_is_quoted_without_it(status):
    key = "sk-canary-4711"
    body = http({"error": {"message": f"Incorrect API key provided: {key}"}}, status)

    with pytest.raises(LlmError) as raised:
        ask(body, api_key=key)

    assert "Incorrect API key provided: **********" in str(raised.value)
    assert key not in f"{raised.value} {getattr(raised.value, 'refusal', '')}"


def test_credentials_of_the_address_are_sent_and_not_shown():
    async def run():
        server = Server(http(b"later", 503))
        listener = await asyncio.start_server(server, "127.0.0.1", 0)
        host = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        address = f"http://user:canary%2F4711@{host}/v1/?signature=canary-4711%2B"
        endpoint = OpenAIEndpoint(address, "m", "ignored")
        try:
            with pytest.raises(LlmError) as raised:
                await endpoint.complete(CHAT, Sampling())
        finally:
            await endpoint.aclose()
            listener.close()
        return server.headers[0], str(raised.value), host

    head, said, host = asyncio.run(run())

    assert head.startswith("post /v1/chat/completions?signature=canary-4711%2b http")
    assert f"authorization: basic {base64.b64encode(b'user:canary/4711').decode().lower()}" in head
    assert said == f"the language model at http://{host}/v1/?… answered 503: later"


def test_a_closed_endpoint_may_be_used_in_another_event_loop():
    with served(FakeLlm().app) as url:
        endpoint = OpenAIEndpoint(f"{url}/v1", "fake-model")

        async def ask_once():
            completion = await endpoint.complete(CHAT, Sampling())
            await endpoint.aclose()
            return completion.finish_reason

        assert [asyncio.run(ask_once()) for _ in range(2)] == ["stop", "stop"]
