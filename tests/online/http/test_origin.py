"""Pages of other sites: they spend nothing, change nothing and read nothing unless their origin is listed."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.errors import Problem
from online.http.origin import SitePolicy, answers_for_any_host, name_of
from online.settings import ServiceSettings
from rag.errors import ConfigurationError
from tests.fake_llm import FakeLlm
from tests.online.conftest import Library, Serve

MISS = json.dumps({"question": "Where can people park their cars?"})
CHAT = json.dumps({"model": "beforehand", "messages": [{"role": "user", "content": "Where can people park here?"}]})
FEEDBACK = json.dumps({"request_id": "r1", "helpful": True})
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SPENDING = [
    ("/v1/answers", MISS, JSON),
    ("/v1/answers", MISS, JSON | {"Prefer": "respond-async"}),
    ("/v1/chat/completions", CHAT, JSON),
    ("/v1/feedback", FEEDBACK, JSON),
    ("/", "question=Where+can+people+park%3F", FORM),
]
READING = ["/", "/v1/questions", "/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static/faq.js"]


def admitted(
    method: str = "POST", server: str = "127.0.0.1", headers: dict[str, str] | None = None, **settings: object
) -> bool:
    policy = SitePolicy.of(ServiceSettings.model_validate(settings))
    raw = {name.lower().encode(): value.encode() for name, value in ({"Host": "localhost"} | (headers or {})).items()}
    try:
        policy.admit({"method": method, "server": (server, 8000), "client": ("10.0.0.1", 1)}, raw)
    except Problem:
        return False
    return True


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "something-new"},
    ],
    ids=str,
)
def test_a_page_of_another_site_spends_and_changes_nothing(
    client: httpx.Client, llm: FakeLlm, foreign: dict[str, str]
) -> None:
    for path, body, headers in SPENDING:
        response = client.post(path, content=body, headers=headers | foreign)
        assert response.status_code == 403
        assert "another site" in response.text
    assert not llm.requests


@pytest.mark.parametrize("media_type", [None, "text/plain; x=json", "text/plain", "multipart/form-data; boundary=x"])
def test_a_body_that_a_page_may_send_without_asking_is_refused(
    client: httpx.Client, llm: FakeLlm, media_type: str | None
) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    for path, body, _ in SPENDING:
        assert client.post(path, content=body.encode(), headers=headers).status_code == 415
    assert not llm.requests


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("help.example:443", "https://help.example", True),
        ("help.example:80", "http://help.example", True),
        ("Help.Example", "https://help.example", True),
        ("help.example:80", "https://help.example", False),
        ("help.example:443", "https://help.example:8443", False),
    ],
)
def test_a_host_with_its_schemes_own_port_is_the_page_of_that_name(host: str, origin: str, *, own: bool) -> None:
    headers = {"Host": host, "Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert admitted(headers=headers, allowed_hosts=["help.example"]) == own


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", None])
def test_the_services_own_pages_may_ask(client: httpx.Client, site: str | None) -> None:
    said = {"Origin": str(client.base_url).rstrip("/")} | ({} if site is None else {"Sec-Fetch-Site": site})
    assert client.post("/v1/answers", content=MISS, headers=JSON | said).status_code == 200
    assert client.post("/", data={"question": "When does the library open?"}, headers=said).status_code == 303


def test_a_page_that_hides_its_address_is_believed_if_the_browser_says_it_is_ours() -> None:
    assert admitted(headers={"Origin": "null", "Sec-Fetch-Site": "same-origin"})
    assert not admitted(headers={"Origin": "null", "Sec-Fetch-Site": "same-site"})
    assert not admitted(headers={"Origin": "null"})


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example"]
)
def test_a_name_that_was_rebound_to_this_machine_reads_nothing(client: httpx.Client, host: str) -> None:
    for path in READING:
        response = client.get(path, headers={"Host": host})
        assert response.status_code == 421
        assert "library" not in response.text


@pytest.mark.parametrize(
    ("host", "settings", "known"),
    [
        ("localhost", {}, True),
        ("LOCALHOST:8000", {}, True),
        ("faq.localhost", {}, True),
        ("[::1]:8000", {}, True),
        ("127.0.0.1", {}, True),
        ("127.0.0.1:80:80", {}, False),
        ("", {}, False),
        ("10.9.9.9", {}, False),
        ("evil.example", {"host": "0.0.0.0"}, True),
        ("evil.example", {"host": "0.0.0.0", "allowed_hosts": ["faq.example"]}, False),
        ("faq.example", {"host": "0.0.0.0", "allowed_hosts": ["FAQ.example"]}, True),
        ("faq.example.", {"allowed_hosts": ["faq.example"]}, True),
        ("a.faq.example", {"allowed_hosts": ["faq.example"]}, False),
        ("a.b.faq.example:1", {"allowed_hosts": ["*.faq.example"]}, True),
        ("faq.example", {"allowed_hosts": ["*.faq.example"]}, False),
        ("evilfaq.example", {"allowed_hosts": ["*.faq.example"]}, False),
        ("localhost", {"allowed_hosts": ["faq.example"]}, True),
        ("anything", {"allowed_hosts": ["*"]}, True),
    ],
)
def test_hosts_are_known_by_name(host: str, settings: dict[str, object], known: bool) -> None:
    assert admitted("GET", headers={"Host": host}, **settings) is known


def test_the_address_of_the_connection_is_a_host() -> None:
    assert admitted("GET", "10.1.2.3", {"Host": "10.1.2.3:8000"}, allowed_hosts=["faq.example"])
    assert not admitted("GET", "10.1.2.3", {"Host": "10.1.2.4:8000"}, allowed_hosts=["faq.example"])


@given(st.binary(max_size=400))
def test_any_host_header_can_be_read(host: bytes) -> None:
    name = name_of(host)
    assert name is None or not set(name) & set("/@?#\\ ")


def test_the_host_that_a_proxy_names_counts_only_from_a_trusted_one() -> None:
    headers = {"Host": "localhost", "X-Forwarded-Host": "faq.example", "Origin": "https://faq.example"}
    settings = {"allowed_hosts": ["faq.example"]}
    assert admitted(headers=headers, trusted_proxies=["10.0.0.1"], **settings)
    assert not admitted(headers=headers, trusted_proxies=["10.0.0.2"], **settings)
    assert not admitted(
        headers=headers | {"X-Forwarded-Host": "evil.example"}, trusted_proxies=["10.0.0.1"], **settings
    )


@pytest.mark.parametrize("name", ["Host", "Origin", "Content-Type", "Sec-Fetch-Site"])
def test_a_header_that_two_readers_might_read_differently_comes_once(client: httpx.Client, name: str) -> None:
    answer = sent_raw(client, b"Host: localhost", f"{name}: none".encode(), f"{name}: other".encode())
    assert answer.startswith(b"HTTP/1.1 400")


def sent_raw(client: httpx.Client, *headers: bytes) -> bytes:
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as raw:
        raw.sendall(b"\r\n".join([b"GET /healthz HTTP/1.1", *headers, b"Connection: close", b"", b""]))
        return b"".join(iter(lambda: raw.recv(4096), b""))


@pytest.fixture
def listed(library: Library, published: Path, serve: Serve) -> httpx.Client:
    """The service with one listed origin."""
    shutil.copytree(published, library.data)
    return serve(allowed_origins=["https://www.example.org"])


def preflight(client: httpx.Client, origin: str, headers: str = "authorization,content-type") -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    return client.options("/v1/answers", headers=asked)


def test_a_listed_origin_may_ask_and_read(listed: httpx.Client) -> None:
    origin = {"Origin": "https://www.example.org", "Sec-Fetch-Site": "cross-site"}
    allowed = preflight(listed, origin["Origin"], "authorization, x-stainless-os, x-evil")
    answer = listed.post("/v1/answers", content=MISS, headers=JSON | origin)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "https://www.example.org"
    assert set(allowed.headers["access-control-allow-methods"].split(", ")) == {"GET", "HEAD", "POST"}
    assert {"authorization", "content-type", "x-stainless-os"} <= set(
        allowed.headers["access-control-allow-headers"].split(", ")
    )
    assert "x-evil" not in allowed.headers["access-control-allow-headers"]
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://www.example.org"
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert {"cache-status", "age", "etag", "x-request-id", "retry-after"} <= exposed
    assert "access-control-allow-credentials" not in answer.headers


def test_it_reads_problems_too(listed: httpx.Client) -> None:
    response = listed.post("/v1/answers", content="{", headers=JSON | {"Origin": "https://www.example.org"})
    assert response.status_code == 400
    assert response.headers["access-control-allow-origin"] == "https://www.example.org"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://www.example.org", "https://www.example.org:8443", "null"]
)
def test_other_origins_may_neither_ask_nor_read(listed: httpx.Client, origin: str) -> None:
    for response in (
        preflight(listed, origin),
        listed.post("/v1/answers", content=MISS, headers=JSON | {"Origin": origin}),
    ):
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers
    read = listed.get("/v1/questions", headers={"Origin": origin})
    assert "access-control-allow-origin" not in read.headers


def test_caches_keep_the_responses_for_each_origin_apart(listed: httpx.Client) -> None:
    for headers in ({}, {"Origin": "https://www.example.org"}, {"Origin": "https://evil.example"}):
        assert "Origin" in listed.get("/v1/questions", headers=headers).headers["vary"]


@pytest.mark.parametrize("origin", ["*", "https://*.example.org", "www.example.org", "https://example.org/", "null"])
def test_origins_are_listed_one_by_one(origin: str) -> None:
    with pytest.raises(ValueError, match="allowed_origins"):
        ServiceSettings.model_validate({"allowed_origins": [origin]})


@pytest.mark.parametrize(
    ("settings", "open_to_all"),
    [
        ({}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "0.0.0.0", "allowed_hosts": ["faq.example"]}, False),
        ({"host": "0.0.0.0", "keys": {"a": {"hash": f"sha256:{'0' * 64}"}}}, False),
    ],
)
def test_the_operator_is_warned_of_a_service_that_any_page_can_read(
    settings: dict[str, object], open_to_all: bool
) -> None:
    assert answers_for_any_host(ServiceSettings.model_validate(settings)) is open_to_all


def test_head_has_the_headers_of_get_and_no_body(client: httpx.Client) -> None:
    for path in [*READING, "/questions/none", "/v1/models/beforehand/library", "/v1/answers/none"]:
        whole, head = client.get(path), client.head(path)
        assert head.status_code == whole.status_code
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert head.content == b""


def test_more_headers_than_anybody_needs_are_refused(client: httpx.Client) -> None:
    response = client.get("/healthz", headers=[(f"x-{number}", "y") for number in range(120)])
    assert response.status_code == 431


def test_a_longer_address_than_anybody_needs_is_refused(client: httpx.Client) -> None:
    assert client.get(f"/v1/questions?q={'x' * 40_000}").status_code == 414


def test_a_private_page_is_stored_nowhere(client: httpx.Client) -> None:
    for path in ("/v1/questions", "/v1/models", "/v1/nothing", "/metrics"):
        assert client.get(path).headers["cache-control"] == "no-store"


def test_a_request_id_can_not_split_a_response(client: httpx.Client) -> None:
    answer = sent_raw(client, b"Host: localhost", b"X-Request-Id: a\x0bset-cookie: b")
    assert b"set-cookie" not in answer.lower()


class TestBasePath:
    @pytest.fixture
    def below(self, library: Library, published: Path, serve: Serve) -> httpx.Client:
        """The service below /help/faq."""
        shutil.copytree(published, library.data)
        return serve(base_path="/help/faq")

    @pytest.mark.parametrize("prefix", ["", "/help/faq"])
    def test_the_proxy_may_strip_it_or_not(self, below: httpx.Client, prefix: str) -> None:
        assert below.get(f"{prefix}/healthz").status_code == 200
        assert below.get(f"{prefix}/").status_code == 200
        assert below.post(f"{prefix}/v1/answers", content=MISS, headers=JSON).json()["source"] == "live"

    def test_the_path_itself_is_the_page(self, below: httpx.Client) -> None:
        assert "text/html" in below.get("/help/faq").headers["content-type"]
        assert below.get("/help/faqs").status_code == 404

    def test_all_own_addresses_carry_it(self, below: httpx.Client) -> None:
        page = below.get("/").text
        addresses = [each.split('"')[0] for mark in ('href="', 'src="', 'action="') for each in page.split(mark)[1:]]
        form = below.post("/", data={"question": "When does the library open?"})
        later = below.post("/v1/answers", content=MISS, headers=JSON | {"Prefer": "respond-async"})
        assert 'data-base="/help/faq"' in page
        assert all(each.startswith(("/help/faq/", "#", "http")) for each in addresses)
        assert form.headers["location"].startswith("/help/faq/questions/")
        assert below.get(form.headers["location"]).status_code == 200
        assert later.headers["location"] == later.json()["location"]
        assert below.get(later.headers["location"]).status_code in {200, 202}
        assert below.get("/openapi.json").json()["servers"] == [{"url": "/help/faq"}]

    @pytest.mark.parametrize("typed", ["//evil.example/x", "https://evil.example", "\\\\evil.example"])
    def test_nothing_typed_leads_elsewhere(self, below: httpx.Client, typed: str) -> None:
        response = below.get("/", params={"question": typed, "collection": "library"})
        assert response.status_code == 200
        assert "location" not in response.headers
        assert "location" not in below.get(f"/help/faq/{typed}/").headers

    @pytest.mark.parametrize("path", ["faq", "/faq/", "/../x", "/a b", "//evil.example", "/<script>"])
    def test_it_is_a_plain_path(self, path: str) -> None:
        with pytest.raises(ValueError, match="base_path"):
            ServiceSettings.model_validate({"base_path": path})

    @pytest.mark.parametrize("path", ["/v1", "/v1/answers", "/static", "/questions"])
    def test_it_is_no_address_of_the_service(self, serve: Serve, path: str) -> None:
        with pytest.raises(ConfigurationError, match="base_path"):
            serve(base_path=path)
