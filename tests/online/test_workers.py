"""Several worker processes behave as one service.

A client keeps its connection, so it stays with one worker. Which one is settled by stopping the others while it
connects: a stopped process accepts nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import TypeVar

import httpx
import pytest

from online.http.authentication import hash_key
from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library
from tests.online.test_server import config, running, wait_until_ready
from warehouse.editorial.decisions import Decision, append_decisions

T = TypeVar("T")
NEW = {"question": "Where can people park their cars?"}
OPEN = {"question": "When does the library open?"}


@dataclass(frozen=True)
class Worker:
    """One worker process and a client that is connected to it."""

    pid: int
    client: httpx.Client


@contextlib.contextmanager
def two_workers(library: Library, llm: FakeLlm, **service: object) -> Iterator[tuple[Worker, Worker]]:
    """Serve a release from two processes."""
    library.publish(library=LIBRARY)
    settings = config(library, llm, workers=2, poll_seconds=0.05, **service)
    with running(settings) as (process, url), contextlib.ExitStack() as stack:
        wait_until_ready(url)
        one, other = until(lambda: serving(process))
        yield connected(one, other, url, stack), connected(other, one, url, stack)


def serving(process: Popen[str]) -> list[int] | None:
    """Return the pids of the two workers once both have opened the release."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    return found if len(found) == 2 and all(map(has_a_release, found)) else None


def has_a_release(pid: int) -> bool:
    return "serving.lmdb" in Path(f"/proc/{pid}/maps").read_text()


def connected(worker: int, other: int, url: str, stack: contextlib.ExitStack) -> Worker:
    client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
    os.kill(other, signal.SIGSTOP)
    try:
        assert client.get("/readyz").status_code == 200
    finally:
        os.kill(other, signal.SIGCONT)
    return Worker(worker, client)


def until(look: Callable[[], T]) -> T:
    """Poll until there is something, for two minutes at most."""
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
    return found


def gauge(worker: Worker, name: str) -> float:
    lines = worker.client.get("/metrics").text.splitlines()
    told = (line.split()[1] for line in lines if line.startswith(f"beforehand_{name} "))
    return float(next(told, "nan"))  # while a worker starts, nobody tells


def test_a_worker_shows_the_calls_and_the_breaker_of_the_other_as_they_are_now(library: Library, llm: FakeLlm) -> None:
    with two_workers(library, llm, breaker_failures=1, breaker_seconds=0.05) as (one, other):
        llm.behaviour.gate = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(one.client.post, "/v1/answers", json=NEW)
            until(lambda: gauge(other, "llm_running") == 1)
            llm.behaviour.gate.set()
            assert call.result().status_code == 200
        until(lambda: gauge(other, "llm_running") == 0)

        llm.behaviour.fail_with = 500
        assert one.client.post("/v1/answers", json=NEW).status_code == 503
        until(lambda: gauge(other, "llm_circuit_open") == 1)
        llm.behaviour.fail_with = None
        until(lambda: one.client.post("/v1/answers", json=NEW).status_code == 200)
        until(lambda: gauge(other, "llm_circuit_open") == 0)


def test_only_the_counters_of_a_killed_worker_stay(library: Library, llm: FakeLlm) -> None:
    with two_workers(library, llm, concurrency=8) as (one, other):
        until(lambda: gauge(other, "llm_concurrency_limit") == 8)
        assert one.client.post("/v1/answers", json=OPEN).json()["source"] == "exact"
        llm.behaviour.gate = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(one.client.post, "/v1/answers", json=NEW)
            until(lambda: gauge(other, "llm_running") == 1)
            os.kill(one.pid, signal.SIGKILL)
            with pytest.raises(httpx.TransportError):
                call.result()
        llm.behaviour.gate.set()
        until(lambda: gauge(other, "llm_running") == 0)
        until(lambda: gauge(other, "llm_concurrency_limit") == 8)  # of its successor, and of it no more
        assert 'beforehand_requests_total{source="exact"} 1.0' in other.client.get("/metrics").text


def test_the_workers_share_one_rate_limit(library: Library, llm: FakeLlm) -> None:
    key = {"hash": hash_key("desk"), "requests_per_minute": 4}
    with two_workers(library, llm, keys={"desk": key}) as (one, other):
        answers = [ask_with(worker, "desk") for worker in (one, one, other, one)]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert [remaining(answer) for answer in answers] == ["3", "2", "1", "0"]
        assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"4"}
        assert ask_with(other, "desk").status_code == 429


def ask_with(worker: Worker, key: str) -> httpx.Response:
    return worker.client.post("/v1/answers", json=OPEN, headers={"Authorization": f"Bearer {key}"})


def remaining(answer: httpx.Response) -> str:
    return str(answer.headers["x-ratelimit-remaining-requests"])


def test_a_rejection_holds_in_all_workers_at_once(library: Library, llm: FakeLlm) -> None:
    with two_workers(library, llm) as (one, other):
        rejected = Decision("library", query_key("library", OPEN["question"]), "any", "reject", "Ada")
        append_decisions(library.data, [rejected])
        for worker in (one, other):
            until(lambda worker=worker: worker.client.post("/v1/answers", json=OPEN).json()["source"] == "withheld")  # type: ignore[misc]
    assert llm.requests == []


def test_the_workers_judge_semantic_hits_by_all_comparisons(library: Library, llm: FakeLlm) -> None:
    llm.behaviour.text = "Bicycles are parked in yards behind 17 trees [1]."
    paraphrase = {"question": "Please, when does the library open?"}
    with two_workers(library, llm, comparison_share=1.0) as (one, other):
        assert other.client.post("/v1/answers", json=paraphrase).json()["source"] == "semantic"
        until(lambda: one.client.post("/v1/answers", json=paraphrase).json()["source"] == "live")
        llm.behaviour.fail_with = 500  # the other can't compare any more, nor answer live
        until(lambda: other.client.post("/v1/answers", json=paraphrase).status_code == 503)


def test_a_hit_of_one_worker_is_reported_to_the_other_and_the_workers_share_the_limit(
    library: Library, llm: FakeLlm
) -> None:
    asked, matched = "Please, when does the library open?", OPEN["question"]
    with two_workers(library, llm, feedback_per_minute=2) as (one, other):
        answer = one.client.post("/v1/answers", json={"question": asked}).json()
        hit = {"question": asked, "query_key": query_key("library", matched)}
        said = {"request_id": answer["id"], "false_hit": hit}
        assert other.client.post("/v1/feedback", json=said).json()["tombstoned"] is True
        until(lambda: one.client.post("/v1/answers", json={"question": asked}).json()["source"] == "live")
        assert one.client.post("/v1/feedback", json=said).status_code == 200
        assert other.client.post("/v1/feedback", json=said).status_code == 429
