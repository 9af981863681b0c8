"""Releases, rollbacks and withdrawals while requests are under way."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from online.app import create_app
from online.release.opening import try_encoder
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.errors import IndexUnusableError
from rag.llm.openai_client import OpenAIEndpoint
from tests.fake_llm import MODEL, FakeLlm
from tests.online.conftest import LIBRARY, Corpus, Library, Serve
from tests.waiting import until
from warehouse.editorial.withdrawal import reinstate, withdraw
from warehouse.releases.retention import prune
from warehouse.releases.rollback import rollback

OPEN = "When does the library open?"
LOST = "What does a lost card cost?"
NEW = "Where can people park their cars?"
PREPARED = LIBRARY.answers[OPEN][0]


def ask(client: httpx.Client, question: str) -> dict[str, object]:
    response = client.post("/v1/answers", json={"question": question})
    assert response.status_code == 200, response.text
    return response.json()  # type: ignore[no-any-return]


def ready(client: httpx.Client) -> dict[str, Any]:
    return client.get("/readyz").json()  # type: ignore[no-any-return]


def trouble(client: httpx.Client, text: str) -> dict[str, Any]:
    """Return what the service says of itself as soon as it tells of a problem with this text."""
    return until(
        f"a problem with {text!r} is told", lambda: ready(client), lambda state: text in (state["problem"] or "")
    )


def wait_for(client: httpx.Client, release: str) -> None:
    until(f"{release} is served", lambda: ready(client), lambda state: state["release"] == release)


def wait_until(client: httpx.Client, question: str, holds: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    """Ask until this holds of the answer."""
    return until(f"another answer to {question!r} comes", lambda: ask(client, question), holds)


def point_at(library: Library, release: str) -> None:
    """Point at a release without any check; the service never sees half a pointer."""
    releases = library.data / "releases"
    (releases / "NEXT").write_text(release)
    (releases / "NEXT").replace(releases / "CURRENT")


def test_no_request_fails_while_releases_come_and_go(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY)
    client = serve()
    done = threading.Event()
    seen: set[object] = set()

    def hammer() -> None:
        while not done.is_set():
            seen.add(ask(client, OPEN)["answer"])

    with ThreadPoolExecutor(3) as pool:
        hammering = [pool.submit(hammer) for _ in range(3)]
        try:
            for number in range(5):
                library.publish(f" ({number})", library=LIBRARY)
                until(f"release {number} answers", seen.copy, {f"{PREPARED} ({number})"}.issubset)
            seen.clear()
            rollback(library.data)
            until("the release before answers again", seen.copy, {f"{PREPARED} (3)"}.issubset)
        finally:
            done.set()
        assert [each.result() for each in hammering] == [None] * 3
    assert seen <= {f"{PREPARED} (4)", f"{PREPARED} (3)"}


def test_a_request_under_way_keeps_its_release_open(library: Library, serve: Serve, llm: FakeLlm) -> None:
    first = library.publish(library=LIBRARY)
    client = serve()
    llm.behaviour.gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, client, NEW)
        until("the model was asked", lambda: llm.running)
        wait_for(client, library.publish(library=LIBRARY))
        llm.behaviour.gate.set()
        assert slow.result()["release"] == first


def test_a_rollback_to_a_release_that_is_still_in_use_works(library: Library, serve: Serve, llm: FakeLlm) -> None:
    first = library.publish(library=LIBRARY)
    client = serve()
    llm.behaviour.gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, client, NEW)
        until("the model was asked", lambda: llm.running)
        wait_for(client, library.publish(" (2)", library=LIBRARY))
        rollback(library.data, first)
        wait_for(client, first)
        llm.behaviour.gate.set()
        assert slow.result()["release"] == first
    assert ask(client, OPEN)["source"] == "exact"


def test_a_torn_release_is_reported_and_the_old_one_stays(library: Library, serve: Serve) -> None:
    good = library.publish(library=LIBRARY)
    client = serve()
    bad = library.data / "releases" / "99990101T000000-dead"
    bad.mkdir()
    (bad / "manifest.json").write_text("{}")
    point_at(library, bad.name)
    assert trouble(client, bad.name)["release"] == good
    assert ask(client, OPEN)["source"] == "exact"
    wait_for(client, library.publish(library=LIBRARY))
    assert ready(client)["problem"] is None


def point_at_a_release_with_a_torn_prompt(library: Library, good: str) -> str:
    """Point at a copy of a release whose prompt is no UTF-8, without any check; returns its id."""
    bad = library.data / "releases" / "99990101T000000-dead"
    shutil.copytree(library.data / "releases" / good, bad)
    (bad / "prompt.txt").write_bytes(b"\xff")
    point_at(library, bad.name)
    return bad.name


def test_a_release_that_fails_in_an_unforeseen_way_holds_up_neither_withdrawals_nor_the_next_release(
    library: Library, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    good = library.publish(library=LIBRARY)
    client = serve()
    bad = point_at_a_release_with_a_torn_prompt(library, good)
    assert trouble(client, f"release {bad} can't be served: UnicodeDecodeError")["release"] == good
    assert [record.exc_info is not None for record in caplog.records if bad in record.getMessage()] == [True]
    assert 'beforehand_release_swaps_total{outcome="failed"} 1.0' in client.get("/metrics").text
    withdraw(library.data, "library", "fees", "wrong price")
    wait_until(client, LOST, lambda answer: answer["source"] != "exact")
    wait_for(client, library.publish(library=LIBRARY))
    assert ready(client)["problem"] is None


def test_a_refused_release_is_no_problem_after_a_rollback(library: Library, serve: Serve) -> None:
    good = library.publish(library=LIBRARY)
    client = serve()
    bad = point_at_a_release_with_a_torn_prompt(library, good)
    trouble(client, bad)
    point_at(library, good)
    until("all is well again", lambda: ready(client), lambda state: state["problem"] is None)
    assert ask(client, OPEN)["source"] == "exact"


def test_withdrawals_that_can_not_be_read_are_reported_and_the_next_release_is_followed(
    library: Library, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    library.publish(library=LIBRARY)
    client = serve()
    withdrawals = library.data / "withdrawals.jsonl"
    withdrawals.mkdir()
    problem = trouble(client, "withdrawals can't be followed: IsADirectoryError")["problem"]
    assert problem in caplog.messages
    assert 'beforehand_following_failures_total{what="withdrawals"}' in client.get("/metrics").text
    wait_for(client, library.publish(library=LIBRARY))
    withdrawals.rmdir()
    withdraw(library.data, "library", "fees", "wrong price")
    wait_until(client, LOST, lambda answer: answer["source"] != "exact")
    until("all is well again", lambda: ready(client), lambda state: state["problem"] is None)


def test_a_service_that_can_not_read_the_withdrawals_does_not_start(library: Library, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    (library.data / "withdrawals.jsonl").mkdir()
    collections = {"library": CollectionSettings(documents=[])}
    app = create_app(ServiceSettings(), library.data, collections, OpenAIEndpoint(llm.url, MODEL))
    with pytest.raises(IsADirectoryError), TestClient(app):
        pytest.fail("it serves")


def test_a_withdrawn_document_is_gone_from_every_path_at_once(
    client: httpx.Client, library: Library, llm: FakeLlm
) -> None:
    assert ask(client, LOST)["source"] == "exact"
    withdraw(library.data, "library", "fees", "wrong price")
    answer = wait_until(client, LOST, lambda answer: answer["source"] != "exact")
    assert answer["source"] == "live"
    assert "fees" not in {each["document_id"] for each in answer["citations"]}
    assert ask(client, f"Please, {LOST}")["source"] == "live"
    assert "ten euros" not in str(llm.requests)
    listed = client.get("/v1/questions").json()["questions"]
    assert LOST not in {each["question"] for each in listed}
    assert ask(client, OPEN)["source"] == "exact"
    reinstate(library.data, "library", "fees", "right after all")
    wait_until(client, LOST, lambda answer: answer["source"] == "exact")


class AllAlike:
    """An encoder that gives every text the same vector."""

    def embed(self, texts: list[str]) -> np.ndarray:
        return np.ones((len(texts), 4), dtype=np.float32) / 2


class Nothing:
    """An encoder that gives zero vectors."""

    def embed(self, texts: list[str]) -> np.ndarray:
        return np.zeros((len(texts), 4), dtype=np.float32)


@pytest.mark.parametrize("encoder", [AllAlike(), Nothing()])
def test_an_encoder_with_degenerate_vectors_is_refused(encoder: object) -> None:
    with pytest.raises(IndexUnusableError, match="build the release again"):
        try_encoder(encoder)  # type: ignore[arg-type]


def test_a_collection_missing_from_the_release_is_a_clear_problem(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY)
    client = serve({"library": CollectionSettings(documents=[]), "archive": CollectionSettings(documents=[])})
    ready = client.get("/readyz")
    assert ready.status_code == 200
    response = client.post("/v1/answers", json={"question": OPEN, "collection": "archive"})
    assert response.status_code == 503
    assert ask_in(client, "library")["source"] == "exact"


def ask_in(client: httpx.Client, collection: str) -> dict[str, object]:
    return client.post("/v1/answers", json={"question": OPEN, "collection": collection}).json()  # type: ignore[no-any-return]


def test_a_release_without_anticipated_questions_answers_live(library: Library, serve: Serve) -> None:
    library.publish(library=Corpus(LIBRARY.documents, {}))
    assert ask(serve(), OPEN)["source"] == "live"


def test_a_release_that_is_served_is_not_pruned(library: Library, serve: Serve) -> None:
    old = library.publish(library=LIBRARY)
    library.publish(" (newer)", library=LIBRARY)
    rollback(library.data, old)
    wait_for(serve(), old)
    (library.data / "releases" / "CURRENT").unlink()  # now only the service keeps it from being pruned
    assert prune(library.data, keep=1).held == (old,)
