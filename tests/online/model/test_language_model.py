"""The language model's guards: a deadline, and what counts as down."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from online.errors import Problem
from online.model.admission import Admission
from online.model.circuit_breaker import CircuitBreaker
from online.model.language_model import LanguageModel
from online.telemetry.metrics import Metrics
from rag.errors import LlmError, LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError
from rag.llm.openai_client import OpenAIEndpoint
from rag.llm.protocol import Completion, Delta, Message, Sampling
from tests.fake_llm import MODEL, FakeLlm

CHAT = [Message("user", "Where can people park?")]


def ask(
    llm: FakeLlm,
    times: int = 1,
    deadline: float = 10.0,
    on_piece: Callable[[Delta], None] | None = None,
    breaker: CircuitBreaker | None = None,
) -> tuple[list[Completion | BaseException], LanguageModel]:
    """Ask so many times, one after the other, with a breaker that opens after 3 failures if no other is given."""
    outcomes: list[Completion | BaseException] = []

    async def main() -> LanguageModel:
        endpoint = OpenAIEndpoint(llm.url, MODEL)
        gate = Admission(start=4, most=4, target_seconds=5, queue_length=4, queue_seconds=5)
        model = LanguageModel(endpoint, Sampling(), gate, breaker or CircuitBreaker(3, 60.0), Metrics(), deadline)
        for _ in range(times):
            try:
                async with model.place():
                    outcomes.append(await model.ask(CHAT, model.sampling, on_piece))
            except (Problem, LlmError) as error:
                outcomes.append(error)
        await endpoint.aclose()
        return model

    return outcomes, asyncio.run(main())


def test_an_answer_comes_whole_and_in_pieces(llm: FakeLlm) -> None:
    shown: list[Delta] = []
    (whole,), _ = ask(llm)
    (streamed,), _ = ask(llm, on_piece=shown.append)
    assert isinstance(whole, Completion)
    assert isinstance(streamed, Completion)
    assert whole.text == streamed.text == "".join(each.text for each in shown) == llm.behaviour.text
    assert len(shown) > 3


def test_an_answer_past_the_deadline_is_cancelled_and_counts_as_a_failure(llm: FakeLlm) -> None:
    llm.behaviour.gate = threading.Event()
    outcomes, model = ask(llm, times=4, deadline=0.2)
    llm.behaviour.gate.set()
    assert [type(each) for each in outcomes] == [LlmUnavailableError] * 3 + [Problem]
    assert model.breaker.state == "open"


def test_failures_open_the_breaker_and_no_call_is_made_then(llm: FakeLlm) -> None:
    llm.behaviour.fail_with = 500
    outcomes, _ = ask(llm, times=10)
    assert len(llm.requests) == 3
    assert all(isinstance(each, Problem) for each in outcomes[3:])


def test_a_model_that_is_too_busy_is_alive(llm: FakeLlm) -> None:
    llm.behaviour.refuse_above = 0
    outcomes, model = ask(llm, times=10)
    assert {type(each) for each in outcomes} == {LlmUnavailableError}
    assert len(llm.requests) == 10
    assert model.breaker.state == "closed"
    assert model.admission.limit < 4


def test_a_request_that_the_model_refuses_says_nothing_about_its_health(llm: FakeLlm) -> None:
    llm.behaviour.fail_with = 400
    outcomes, model = ask(llm, times=10)
    assert {type(each) for each in outcomes} == {LlmRefusedError}
    assert model.breaker.state == "closed"
    assert model.admission.limit == 4


def test_the_log_says_why_the_model_counts_as_down_and_when_it_is_up_again(
    llm: FakeLlm, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "beforehand")
    breaker = CircuitBreaker(3, 0.0)  # without a pause: the next call is let through to try
    llm.behaviour.fail_with = 500
    ask(llm, times=3, breaker=breaker)
    llm.behaviour.fail_with = None
    ask(llm, times=2, breaker=breaker)
    said = f"the language model at {llm.url} answered 500: broken"
    assert [record.getMessage() for record in caplog.records] == [
        f"the language model gave no answer (unavailable): {said}",
        f"the language model counts as down (unavailable): {said}",
        "the language model counts as up again",
    ]


def test_a_wrong_key_counts_as_down_and_the_log_names_the_setting(
    llm: FakeLlm, caplog: pytest.LogCaptureFixture
) -> None:
    llm.behaviour.fail_with = 401
    outcomes, model = ask(llm, times=4)
    assert [type(each) for each in outcomes] == [LlmMisconfiguredError] * 3 + [Problem]
    assert model.breaker.state == "open"
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert all("check [llm] api_key" in record.getMessage() for record in caplog.records)
