"""Identical questions in flight share one call."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

from online.answering.single_flight import Flight, SingleFlight
from tests.fake_llm import FakeLlm
from tests.waiting import until

NEW = "Where can people park their cars?"


def post(client: httpx.Client, question: str, **fields: object) -> httpx.Response:
    return client.post("/v1/answers", json={"question": question, **fields})


def test_identical_questions_share_one_call_and_say_so(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.gate = threading.Event()
    flights = client.app.state.service.lookup.flights
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(post, client, typed) for typed in [NEW, NEW.upper(), f" {NEW}", NEW] * 2]
        until("all wait for the call", lambda: sum(each.passengers for each in flights.under_way()) == 8)
        llm.behaviour.gate.set()
        responses = [call.result() for call in calls]
    assert len(llm.requests) == 1
    assert {response.json()["answer"] for response in responses} == {llm.behaviour.text}
    assert len({response.json()["id"] for response in responses}) == 8
    statuses = sorted(response.headers["cache-status"] for response in responses)
    assert statuses == ["beforehand; fwd=miss"] + ["beforehand; fwd=miss; collapsed"] * 7


def test_the_call_is_cancelled_when_the_last_client_disconnects(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.gate = threading.Event()
    service = client.app.state.service
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        body = json.dumps({"question": NEW}).encode()
        head = f"POST /v1/answers HTTP/1.1\r\nHost: {client.base_url.netloc.decode()}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        until("the model was asked", lambda: llm.running)

    until("the call is given up", lambda: not (len(service.lookup.flights) or service.model.admission.running))
    until("the model is told", lambda: llm.abandoned == 1)


def test_a_client_that_joins_late_gets_the_earlier_pieces() -> None:
    async def test() -> None:
        flights: SingleFlight[str, str, str] = SingleFlight()
        said = asyncio.Event()
        go_on = asyncio.Event()

        async def produce(flight: Flight[str, str, str]) -> None:
            flight.open("live")
            flight.push("one ")
            said.set()
            await go_on.wait()
            flight.push("two")
            flight.land("one two")

        async with flights.join("key", produce) as (early, joined):
            assert not joined
            await said.wait()
            async with flights.join("key", produce) as (late, also):
                assert also
                go_on.set()
                assert [piece async for piece in late.follow()] == ["one ", "two"]
                assert await late.result == await early.result == "one two"
        assert len(flights) == 0

    asyncio.run(test())


def test_a_failure_reaches_every_caller_and_the_next_one_tries_again() -> None:
    async def test() -> None:
        flights: SingleFlight[str, str, str] = SingleFlight()
        calls = 0

        async def produce(_: Flight[str, str, str]) -> None:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0)
            raise ValueError("broken")

        async def ask() -> None:
            async with flights.join("key", produce) as (flight, _):
                await flight.opening

        outcomes = await asyncio.gather(ask(), ask(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]
        assert calls == 1
        await asyncio.gather(ask(), return_exceptions=True)
        assert calls == 2

    asyncio.run(test())


def test_different_collections_and_fresh_answers_do_not_share(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        ordinary = pool.submit(post, client, NEW)
        fresh = pool.submit(client.post, "/v1/answers", json={"question": NEW}, headers={"Cache-Control": "no-cache"})
        until("the model was asked twice", lambda: llm.running == 2)
        llm.behaviour.gate.set()
        assert ordinary.result().headers["cache-status"] == "beforehand; fwd=miss"
        assert fresh.result().headers["cache-status"] == "beforehand; fwd=bypass"
