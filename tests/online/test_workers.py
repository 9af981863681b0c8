"""Several worker processes behave as one service.

A client keeps its connection, so it stays with one worker. Which one is settled by stopping the others while it
connects: a stopped process accepts nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from online.http.authentication import hash_key
from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, Library
from tests.online.test_server import config, running, wait_until_ready
from tests.waiting import PATIENCE, until
from warehouse.editorial.decisions import Decision, append_decisions

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
        one, other = until("both have opened the release", lambda: serving(process), process=process)
        yield connected(one, other, url, stack), connected(other, one, url, stack)


def serving(process: Popen[str]) -> list[int]:
    """Return the pids of the two workers once both have opened the release."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    return found if len(found) == 2 and all(map(has_a_release, found)) else []


def has_a_release(pid: int) -> bool:
    return "serving.lmdb" in Path(f"/proc/{pid}/maps").read_text()


def connected(worker: int, other: int, url: str, stack: contextlib.ExitStack) -> Worker:
    client = stack.enter_context(httpx.Client(base_url=url, timeout=PATIENCE))
    os.kill(other, signal.SIGSTOP)
    try:
        assert client.get("/readyz").status_code == 200
    finally:
        os.kill(other, signal.SIGCONT)
    return Worker(worker, client)


def gauge(worker: Worker, name: str) -> float:
    lines = worker.client.get("/metrics").text.splitlines()
    told = (line.split()[1] for line in lines if line.startswith(f"beforehand_{name} "))
    return float(next(told, "nan"))  # while a worker starts, nobody tells


def shows(worker: Worker, name: str, value: float) -> None:
    until(f"{name} is {value}", lambda: gauge(worker, name), lambda found: found == value)


def answers(worker: Worker, question: dict[str, str], source: str) -> None:
    """Ask until the answer has this source."""
    until(
        f"the answer is {source}",
        lambda: worker.client.post("/v1/answers", json=question).json(),
        lambda body: body["source"] == source,
    )


def test_a_worker_shows_the_calls_and_the_breaker_of_the_other_as_they_are_now(library: Library, llm: FakeLlm) -> None:
    with two_workers(library, llm, breaker_failures=1, breaker_seconds=0.05) as (one, other):
        llm.behaviour.gate = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(one.client.post, "/v1/answers", json=NEW)
            shows(other, "llm_running", 1)
            llm.behaviour.gate.set()
            assert call.result().status_code == 200
        shows(other, "llm_running", 0)

        llm.behaviour.fail_with = 500
        assert one.client.post("/v1/answers", json=NEW).status_code == 503
        shows(other, "llm_circuit_open", 1)
        llm.behaviour.fail_with = None
        until("the model is used again", lambda: one.client.post("/v1/answers", json=NEW).is_success)
        shows(other, "llm_circuit_open", 0)


def test_only_the_counters_of_a_killed_worker_stay(library: Library, llm: FakeLlm) -> None:
    with two_workers(library, llm, concurrency=8) as (one, other):
        shows(other, "llm_concurrency_limit", 8)
        assert one.client.post("/v1/answers", json=OPEN).json()["source"] == "exact"
        llm.behaviour.gate = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(one.client.post, "/v1/answers", json=NEW)
            shows(other, "llm_running", 1)
            os.kill(one.pid, signal.SIGKILL)
            with pytest.raises(httpx.TransportError):
                call.result()
        llm.behaviour.gate.set()
        shows(other, "llm_running", 0)
        shows(other, "llm_concurrency_limit", 8)  # of its successor, and of it no more
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
            answers(worker, OPEN, "withheld")
    assert llm.requests == []


def hits_on_disk(library: Library) -> int:
    """Count the hits that any worker may read by now."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{library.data}/semantic_hits.sqlite3?mode=ro", uri=True)
        ) as file:
            return int(file.execute("SELECT count(*) FROM hits").fetchone()[0])
    except sqlite3.OperationalError:  # no worker has made the file yet
        return 0


def test_the_workers_judge_semantic_hits_by_all_comparisons(library: Library, llm: FakeLlm) -> None:
    llm.behaviour.text = "Bicycles are parked in yards behind 17 trees [1]."
    paraphrase = {"question": "Please, when does the library open?"}
    with two_workers(library, llm, comparison_share=1.0) as (one, other):
        assert other.client.post("/v1/answers", json=paraphrase).json()["source"] == "semantic"
        answers(one, paraphrase, "live")
        llm.behaviour.fail_with = 500  # the other can't compare any more, nor answer live
        until("the other asks live too", lambda: other.client.post("/v1/answers", json=paraphrase).status_code == 503)


def test_a_hit_of_one_worker_is_reported_to_the_other_and_the_workers_share_the_limit(
    library: Library, llm: FakeLlm
) -> None:
    asked, matched = "Please, when does the library open?", OPEN["question"]
    with two_workers(library, llm, feedback_per_minute=2) as (one, other):
        answer = one.client.post("/v1/answers", json={"question": asked}).json()
        until("the hit is on the disk", lambda: hits_on_disk(library) == 1)
        hit = {"question": asked, "query_key": query_key("library", matched)}
        said = {"request_id": answer["id"], "false_hit": hit}
        assert other.client.post("/v1/feedback", json=said).json()["tombstoned"] is True
        answers(one, {"question": asked}, "live")
        assert one.client.post("/v1/feedback", json=said).status_code == 200
        assert other.client.post("/v1/feedback", json=said).status_code == 429
