"""One shape for errors: RFC 9457 on our own routes, OpenAI's on theirs, and no details of our machines."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from online.http.problems import KINDS
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library, Serve
from tests.waiting import until

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "kind"),
    [
        ("POST", "/v1/answers", b"{", JSON, "malformed"),
        ("POST", "/v1/answers", b'"x"', JSON, "invalid"),
        ("POST", "/v1/answers", b'{"question": 1}', JSON, "invalid"),
        ("POST", "/v1/answers", b'{"question": "x", "qestion": "y"}', JSON, "invalid"),
        ("POST", "/v1/answers", b'{"question": "%b"}' % (b"x" * 2001), JSON, "invalid"),
        ("POST", "/v1/answers", b'{"question": "\\ud800?"}', JSON, "malformed"),
        ("POST", "/v1/answers", b"question=x", {"Content-Type": "application/x-www-form-urlencoded"}, "media-type"),
        ("POST", "/v1/answers", b"x" * 300_000, JSON, "too-large"),
        ("POST", "/v1/answers", b'{"question": "x", "collection": "../../etc"}', JSON, "forbidden"),
        ("GET", "/v1/answers", b"", {}, "method"),
        ("GET", "/v1/answers/..%2f..%2fetc", b"", {}, "not-found"),
        ("GET", "/v1/nothing", b"", {}, "not-found"),
        ("POST", "/v1/feedback", b'{"request_id": "r"}', JSON, "invalid"),
        ("POST", "/v1/feedback", b"{", JSON, "invalid"),
        ("GET", "/v1/questions?limit=0", b"", {}, "invalid"),
    ],
)
def test_problems_have_one_shape(
    client: httpx.Client, method: str, path: str, body: bytes, headers: dict[str, str], kind: str
) -> None:
    response = client.request(method, path, content=body, headers=headers | {"x-request-id": "mine-1"})
    status, title = KINDS[kind]
    problem = response.json()
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:beforehand:problem:{kind}"
    assert problem["title"] == title
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"] == "mine-1"


def test_a_body_without_a_length_is_limited_too(client: httpx.Client) -> None:
    response = client.post("/v1/answers", content=(b"x" * 1000 for _ in range(400)))
    assert response.status_code == 413


def test_a_request_id_that_is_not_well_formed_is_replaced(client: httpx.Client) -> None:
    response = client.get("/healthz", headers={"x-request-id": "a b\t<script>"})
    assert response.headers["x-request-id"] not in {"", "a b\t<script>"}


def test_every_response_has_the_headers_for_safety(client: httpx.Client) -> None:
    for response in (client.get("/healthz"), client.get("/v1/nothing"), client.get("/v1/questions")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in response.headers["content-security-policy"]


def test_when_the_model_is_down_a_miss_gets_suggestions_and_hits_go_on(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.fail_with = 500
    response = client.post("/v1/answers", json={"question": "When does the library not open?"})
    problem = response.json()
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert problem["suggestions"][0]["question"] == "When does the library open?"
    assert "127.0.0.1" not in response.text
    assert client.post("/v1/answers", json={"question": "When does the library open?"}).status_code == 200


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_rejected_model_key_is_no_fault_of_the_question(client: httpx.Client, llm: FakeLlm, status: int) -> None:
    llm.behaviour.fail_with = status
    response = client.post("/v1/answers", json={"question": "Where can people park their cars?"})
    assert response.status_code == 503
    assert response.json()["type"] == "urn:beforehand:problem:llm-down"
    assert response.headers["x-should-retry"] == "false"
    assert "api_key" not in response.text  # that is for the log
    asked = {"role": "user", "content": "When does the library close?"}
    chat = {"model": "beforehand", "messages": [{"role": "system", "content": "x"}, asked]}
    assert client.post("/v1/chat/completions", json=chat).status_code == 503


def test_the_model_is_used_again_when_it_is_back_without_a_restart(
    library: Library, serve: Serve, llm: FakeLlm
) -> None:
    library.publish(library=LIBRARY)
    client = serve(breaker_failures=1, breaker_seconds=0.05)
    llm.behaviour.fail_with = 500
    new = {"question": "Where can people park their cars?"}
    assert client.post("/v1/answers", json=new).status_code == 503
    assert client.get("/readyz").json()["language_model"] != "closed"
    llm.behaviour.fail_with = None
    until("the model is used again", lambda: client.post("/v1/answers", json=new).is_success)
    assert client.get("/readyz").json()["language_model"] == "closed"


def test_under_overload_misses_are_refused_at_once_and_hits_go_on(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    client = serve(concurrency=1, concurrency_limit=1, queue_length=1)
    llm.behaviour.gate = threading.Event()
    admission = client.app.state.service.model.admission
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(client.post, "/v1/answers", json={"question": f"Story {n}?"}) for n in range(2)]
        until("one is answered and one waits", lambda: admission.running + admission.waiting == 2)
        refused = client.post("/v1/answers", json={"question": "Story 3?"})
        hit = client.post("/v1/answers", json={"question": "When does the library open?"})
        llm.behaviour.gate.set()
        assert [call.result().status_code for call in calls] == [200, 200]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert hit.json()["source"] == "exact"
