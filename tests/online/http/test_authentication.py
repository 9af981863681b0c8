"""Keys: their collections, scopes and limits; only their hashes are kept."""

from __future__ import annotations

import httpx
import pytest

from online.http.authentication import hash_key, keys_of, mint
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.errors import ConfigurationError
from tests.online.conftest import LIBRARY, MUSEUM, Library, Serve

BOTH = {"library": CollectionSettings(documents=[]), "museum": CollectionSettings(documents=[])}


@pytest.fixture
def guarded(library: Library, serve: Serve, keys: dict[str, dict[str, object]]) -> httpx.Client:
    library.publish(library=LIBRARY, museum=MUSEUM)
    return serve(BOTH, keys=keys)


def ask(client: httpx.Client, key: str | None, question: str, collection: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return client.post("/v1/answers", json={"question": question, "collection": collection}, headers=headers)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic cmVhZGVy"}])
def test_without_a_valid_key_nothing_is_answered(guarded: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in [
        ("POST", "/v1/answers"), ("GET", "/v1/answers/x"), ("POST", "/v1/chat/completions"), ("GET", "/v1/models"),
        ("GET", "/v1/questions"), ("POST", "/v1/feedback"), ("GET", "/metrics"),
    ]:  # fmt: skip
        response = guarded.request(method, path, headers=headers, json={"request_id": "r", "helpful": True})
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"] == "Bearer"


def test_two_keys_at_once_are_refused(guarded: httpx.Client) -> None:
    headers = [("Authorization", "Bearer reader"), ("Authorization", "Bearer boss"), ("x-request-id", "mine-1")]
    for path in ("/v1/answers", "/v1/chat/completions"):
        refused = guarded.post(path, json={"question": "x"}, headers=headers)
        assert refused.status_code == 400
        assert refused.headers["x-request-id"] == "mine-1"


def test_the_health_of_the_service_needs_no_key_and_names_no_collection(guarded: httpx.Client) -> None:
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/readyz").json()["collections"] == []


def test_a_key_answers_from_its_own_collection_only(guarded: httpx.Client) -> None:
    assert ask(guarded, "reader", "When does the library open?").json()["source"] == "exact"
    for name in ("museum", "unheard-of"):
        refused = ask(guarded, "reader", "When does the museum open?", name)
        assert refused.status_code == 403
    assert ask(guarded, "reader", "When does the museum open?").json()["source"] == "live"


def test_a_key_of_several_collections_has_to_name_one(guarded: httpx.Client) -> None:
    refused = ask(guarded, "other", "When does the museum open?")
    assert refused.status_code == 422
    assert refused.json()["detail"] == "Name a collection: one of library, museum."
    assert ask(guarded, "other", "When does the museum open?", "museum").json()["source"] == "exact"


def test_a_question_that_names_no_collection_asks_the_default_of_its_key(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    keys = {
        "own": {"hash": hash_key("own"), "default_collection": "library"},
        "any": {"hash": hash_key("any")},
        "one": {"hash": hash_key("one"), "collections": ["library"]},
    }
    client = serve(BOTH, keys=keys, default_collection="museum")
    for key, collection in [("own", "library"), ("any", "museum"), ("one", "library")]:
        assert ask(client, key, f"When does the {collection} open?").json()["source"] == "exact"
    assert ask(client, "own", "When does the museum open?", "museum").json()["source"] == "exact"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"keys": {"desk": {"hash": hash_key("x"), "collections": ["libary"]}}},
            "[service.keys.desk] collections: there is no collection 'libary'; did you mean 'library'?",
        ),
        (
            {"keys": {"desk": {"hash": hash_key("x"), "collections": ["library"], "default_collection": "museum"}}},
            "[service.keys.desk] default_collection: the key has no collection 'museum'; known are library",
        ),
        (
            {"default_collection": "zoo"},
            "[service] default_collection: there is no collection 'zoo'; known are library, museum",
        ),
    ],
)
def test_a_collection_that_does_not_exist_is_named_at_the_start(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        keys_of(ServiceSettings.model_validate(settings), BOTH)
    assert str(caught.value) == sentence


def test_a_scope_grants_nothing_else_and_admin_implies_all(guarded: httpx.Client) -> None:
    feedback = {"request_id": "r", "helpful": True}
    for key, path, expected in [("asker", "/v1/feedback", 403), ("boss", "/v1/feedback", 200)]:
        headers = {"Authorization": f"Bearer {key}"}
        assert guarded.post(path, json=feedback, headers=headers).status_code == expected
    for key, expected in [("reader", 403), ("boss", 200)]:
        assert guarded.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == expected


def test_a_rate_limit_is_announced_and_kept(guarded: httpx.Client) -> None:
    answers = [ask(guarded, "asker", "When does the library open?", "library") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/answers", {"question": "When does the library open?", "collection": "library"}, 200),
        ("POST", "/v1/answers", {"question": "Where are the bicycles?", "collection": "library"}, 200),
        ("POST", "/v1/answers", {"question": 1}, 422),
        ("POST", "/v1/answers", {"question": "When?", "collection": "unheard-of"}, 403),
        ("GET", "/v1/answers/nothing", None, 404),
        ("POST", "/v1/chat/completions", {"messages": []}, 422),
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/models/unheard-of", None, 404),
        ("GET", "/v1/questions?collection=library", None, 200),
        ("POST", "/v1/feedback", {"request_id": "r", "helpful": True}, 403),
        ("GET", "/metrics", None, 403),
        ("GET", "/", None, 200),
    ],
)
def test_every_limited_response_says_what_is_left(
    guarded: httpx.Client, method: str, path: str, body: object, status: int
) -> None:
    for left in ("2", "1", "0"):
        response = guarded.request(method, path, headers={"Authorization": "Bearer asker"}, json=body)
        assert response.status_code == status
        assert response.headers.get_list("x-ratelimit-limit-requests") == ["3"]
        assert response.headers["x-ratelimit-remaining-requests"] == left
        assert 1 <= int(response.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    refused = guarded.request(method, path, headers={"Authorization": "Bearer asker"}, json=body)
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


def test_a_key_without_a_limit_gets_no_rate_limit_headers(guarded: httpx.Client) -> None:
    for response in (ask(guarded, "boss", "When?", "library"), ask(guarded, "wrong", "When?"), guarded.get("/healthz")):
        assert not [name for name in response.headers if name.startswith("x-ratelimit")]


def test_a_minted_key_is_long_and_its_hash_does_not_give_it_away() -> None:
    (key, digest), (other, _) = mint(), mint()
    assert key != other
    assert len(key) > 40
    assert digest == hash_key(key)
    assert key not in digest
