"""Asynchronous questions: 202, then poll."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from online.answering import jobs
from online.answering.jobs import Again, next_attempt
from online.errors import Problem, as_problem
from online.records import shared_file
from online.records.job_store import JobStore, StoredJob
from rag.errors import LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError
from tests.fake_llm import FakeLlm, served
from tests.online.conftest import LIBRARY, Library, Serve
from tests.waiting import until
from warehouse.editorial.withdrawal import withdraw

LATER = {"Prefer": "respond-async"}
NEW = {"question": "Where can people park their cars?"}


@pytest.fixture(autouse=True)
def _in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a store that can't be reached for no longer than a test needs."""
    monkeypatch.setattr(shared_file, "_BUSY_SECONDS", 0.05)
    monkeypatch.setattr(jobs, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(jobs, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(jobs, "_RENEW_SECONDS", 0.1)


def poll(client: httpx.Client, location: str) -> httpx.Response:
    return until("the job has ended", lambda: client.get(location), lambda response: response.status_code != 202)


def test_a_miss_is_answered_later(client: httpx.Client, llm: FakeLlm) -> None:
    accepted = client.post("/v1/answers", json=NEW, headers=LATER)
    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    assert accepted.json()["location"] == accepted.headers["location"]
    answer = poll(client, accepted.headers["location"])
    assert answer.json()["source"] == "live"
    assert answer.json()["answer"] == llm.behaviour.text


def test_an_anticipated_question_is_answered_at_once_even_so(client: httpx.Client) -> None:
    response = client.post("/v1/answers", json={"question": "When does the library open?"}, headers=LATER)
    assert response.status_code == 200


def test_with_a_wait_a_quick_answer_comes_at_once(client: httpx.Client) -> None:
    response = client.post("/v1/answers", json=NEW, headers={"Prefer": "respond-async, wait=20"})
    assert response.status_code == 200
    assert response.json()["source"] == "live"


def test_a_known_answer_is_not_sent_again(client: httpx.Client) -> None:
    location = client.post("/v1/answers", json=NEW, headers=LATER).headers["location"]
    tag = poll(client, location).headers["etag"]
    again = client.get(location, headers=[("If-None-Match", tag), ("If-None-Match", '"another"')])
    assert again.status_code == 304
    assert again.content == b""


def test_an_unknown_id_is_not_found(client: httpx.Client) -> None:
    assert client.get("/v1/answers/nothing").status_code == 404


def test_a_job_outlasts_an_outage_of_the_model(
    client: httpx.Client, llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_FIRST_WAIT", 0.5)
    llm.behaviour.fail_with = 503
    location = client.post("/v1/answers", json=NEW, headers=LATER).headers["location"]
    until("the model was asked", lambda: llm.requests)
    llm.behaviour.fail_with = None
    assert poll(client, location).json()["source"] == "live"


@pytest.mark.parametrize("attempts", [0, 100])
@pytest.mark.parametrize(
    "trouble",
    [
        Problem("queue-full", "Too many wait.", retry_after=7),
        Problem("no-release", "Nothing yet.", retry_after=7),
        Problem("llm-down", "The breaker is open.", retry_after=7),
        LlmUnavailableError("too busy", retry_after=7),
    ],
)
def test_a_job_waits_for_a_place_as_long_as_it_takes(trouble: Exception, attempts: int) -> None:
    assert next_attempt(tried(attempts), as_problem(trouble)) == Again(7, failed=False)


def test_a_job_outlasts_an_unreachable_model() -> None:
    away = as_problem(LlmUnavailableError("nobody listens there", reached=False))
    assert next_attempt(tried(100), away) == Again(5, failed=False)


@pytest.mark.parametrize("failure", [LlmUnavailableError("answered 500"), LlmMisconfiguredError("answered 403")])
def test_a_failed_call_is_tried_five_times_with_growing_pauses(failure: Exception) -> None:
    found = [next_attempt(tried(attempts), as_problem(failure)) for attempts in range(5)]
    assert found == [
        Again(5, failed=True),
        Again(20, failed=True),
        Again(80, failed=True),
        Again(320, failed=True),
        None,
    ]


def test_a_refusal_of_the_model_is_not_retried() -> None:
    assert next_attempt(tried(0), as_problem(LlmRefusedError("too long"))) is None


def tried(attempts: int) -> StoredJob:
    return StoredJob("id", b"{}", None, "running", None, None, attempts)


def test_a_question_on_which_the_model_always_fails_ends_as_a_problem(
    library: Library, serve: Serve, llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_FIRST_WAIT", 0.0)
    library.publish(library=LIBRARY)
    client = serve(breaker_failures=100)
    llm.behaviour.fail_with = 500
    failed = poll(client, client.post("/v1/answers", json=NEW, headers=LATER).headers["location"])
    assert failed.status_code == 503
    assert failed.json()["type"] == "urn:beforehand:problem:llm-down"
    assert failed.headers["x-should-retry"] == "false"
    assert len(llm.requests) == 5


class StumblingLlm(FakeLlm):
    """Fails at every question about bicycles."""

    async def _complete(self, request: Request) -> Response:
        if b"bicycles" in await request.body():
            return JSONResponse({"error": {"message": "broken"}}, 500)
        return await super()._complete(request)


def test_questions_on_which_the_model_fails_do_not_delay_others(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_FIRST_WAIT", 60.0)
    library.publish(library=LIBRARY)
    model = StumblingLlm()
    with contextlib.ExitStack() as stack:
        model.url = f"{stack.enter_context(served(model.app))}/v1"
        client = Serve(library, model, stack)()
        bad = [later(client, f"Where are {number} bicycles parked?") for number in range(4)]
        good = [later(client, f"Where can {number} people park their cars?") for number in range(8)]
        assert [poll(client, location).status_code for location in good] == [200] * 8
        for location in bad:
            until("it waits for its next attempt", lambda: client.get(location).json()["status"] == "queued")  # noqa: B023
        assert client.get("/readyz").json()["language_model"] == "closed"


def later(client: httpx.Client, question: str) -> str:
    accepted = client.post("/v1/answers", json={"question": question}, headers=LATER)
    assert accepted.status_code == 202
    return accepted.headers["location"]


def test_an_answer_from_a_withdrawn_document_is_generated_again(
    client: httpx.Client, library: Library, llm: FakeLlm
) -> None:
    location = later(client, NEW["question"])
    first = poll(client, location)
    (document,) = first.json()["documents"]
    withdraw(library.data, "library", document, "wrong")
    llm.behaviour.text = "Nobody knows [1]."
    known = {"If-None-Match": first.headers["etag"]}
    response = until(
        "the withdrawal is followed",
        lambda: client.get(location, headers=known),
        lambda response: response.status_code != 304,
    )
    assert response.status_code == 202
    assert response.headers["location"] == location
    second = poll(client, location).json()
    assert second["answer"] == "Nobody knows [1]."
    assert document not in second["documents"]


def test_a_locked_database_costs_neither_an_answer_nor_a_worker(
    client: httpx.Client,
    library: Library,
    llm: FakeLlm,
    caplog: pytest.LogCaptureFixture,
) -> None:
    llm.behaviour.gate = threading.Event()
    location = later(client, NEW["question"])
    until("the model was asked", lambda: llm.running)
    other = sqlite3.connect(library.data / "jobs.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    llm.behaviour.gate.set()
    until("the file is found locked", lambda: any("database is locked" in message for message in caplog.messages))
    assert client.get(location).status_code == 202
    other.execute("ROLLBACK")
    assert poll(client, location).json()["answer"] == llm.behaviour.text
    assert len(llm.requests) == 1
    assert poll(client, later(client, "And where can people park in the yards?")).status_code == 200


@pytest.mark.parametrize("step", ["claim", "finish", "renew", "expire"])
def test_a_full_disk_stops_no_task(client: httpx.Client, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    working, tries = getattr(JobStore, step), []

    async def full_at_first(*arguments: Any) -> Any:
        tries.append(arguments)
        if len(tries) < 5:
            raise sqlite3.OperationalError("database or disk is full")
        return await working(*arguments)

    monkeypatch.setattr(JobStore, step, full_at_first)
    assert poll(client, later(client, NEW["question"])).status_code == 200

    def another() -> int:
        assert poll(client, later(client, f"And {len(tries)} bicycles?")).status_code == 200
        return len(tries)

    until("the step works again", another, lambda tried: tried >= 6)


def test_a_job_that_can_not_be_read_fails_and_the_next_one_is_answered(client: httpx.Client, library: Library) -> None:
    with contextlib.closing(sqlite3.connect(library.data / "jobs.sqlite3", isolation_level=None)) as other:
        other.execute("INSERT INTO jobs (id, asked, created) VALUES ('torn', '{}', unixepoch())")
    assert poll(client, later(client, NEW["question"])).status_code == 200
    response = until(
        "the torn job has failed",
        lambda: client.get("/v1/answers/torn"),
        lambda response: "x-should-retry" in response.headers,
    )
    assert response.json()["type"] == "urn:beforehand:problem:internal"


def test_jobs_survive_a_restart(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.gate = threading.Event()
    with serve.stopping() as first:
        location = first.post("/v1/answers", json=NEW, headers=LATER).headers["location"]
        until("the model was asked", lambda: llm.running)
    llm.behaviour.gate.set()
    assert poll(serve(), location).json()["source"] == "live"


def test_too_many_jobs_are_refused(library: Library, serve: Serve, llm: FakeLlm) -> None:
    library.publish(library=LIBRARY)
    llm.behaviour.gate = threading.Event()
    client = serve(job_limit=1)
    assert client.post("/v1/answers", json=NEW, headers=LATER).status_code == 202
    refused = client.post("/v1/answers", json={"question": "And bicycles?"}, headers=LATER)
    llm.behaviour.gate.set()
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_another_key_can_not_fetch_the_answer(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]]
) -> None:
    library.publish(library=LIBRARY)
    client = serve(keys=keys)
    ours, theirs = {"Authorization": "Bearer reader"}, {"Authorization": "Bearer other"}
    location = client.post("/v1/answers", json=NEW, headers=LATER | ours).headers["location"]
    assert client.get(location, headers=theirs).status_code == 404
    assert client.get(location, headers=ours).status_code in {200, 202}


@pytest.mark.parametrize("question", ["", "?!", " "])
def test_a_question_without_words_is_refused(client: httpx.Client, question: str) -> None:
    assert client.post("/v1/answers", json={"question": question}).status_code == 422
