"""The in-process engine: concurrent calls form one batch, a failing request fails alone, and it ends cleanly."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch.models.model_folder import ModelFolder
from batch.models.named_model import Adapter
from batch.settings import VllmSettings
from batch.vllm.engine import MAX_DEATHS, VllmEngine, engine_for
from rag.errors import LlmError, LlmRefusedError, LlmUnavailableError, ModelError
from rag.llm.protocol import Completion, Delta, Message, Sampling, complete_all


def load_fake() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fake_vllm", Path(__file__).with_name("fake_vllm.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fake_vllm = load_fake()
SAMPLING = Sampling(max_tokens=8)


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_vllm.FakeVllm]:
    before = dict(os.environ)
    yield fake_vllm.install(monkeypatch)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 64}')
    return ModelFolder(tmp_path, "tiny", "abc", "language model", 1)


@pytest.fixture
def engine(vllm: fake_vllm.FakeVllm, model: ModelFolder) -> Iterator[VllmEngine]:  # noqa: ARG001
    engine = VllmEngine(model, VllmSettings(), context_tokens=32)
    yield engine
    engine.close()


def chat(text: str) -> list[Message]:
    return [Message("system", "Be brief."), Message("user", text)]


def ask(engine: VllmEngine, *texts: str, sampling: Sampling = SAMPLING) -> list[Completion | LlmError]:
    return asyncio.run(complete_all(engine, [chat(text) for text in texts], sampling, concurrency=64))


def test_a_completion_has_its_text_model_and_finish_reason(engine: VllmEngine) -> None:
    (completion,) = ask(engine, "one two three")

    assert completion == Completion(
        text="one two three", finish_reason="stop", prompt_tokens=3, completion_tokens=3, model="tiny@abc",
        cached_tokens=1, message={"role": "assistant", "content": "one two three"},
    )  # fmt: skip
    assert engine.model == "tiny@abc"


def test_a_truncated_answer_says_so(engine: VllmEngine) -> None:
    (completion,) = ask(engine, "one two three four", sampling=replace(SAMPLING, max_tokens=2))

    assert isinstance(completion, Completion)
    assert (completion.text, completion.finish_reason) == ("one two", "length")


def test_concurrent_calls_form_one_batch(engine: VllmEngine, vllm: fake_vllm.FakeVllm) -> None:
    async def ask_at_once() -> None:
        vllm.running.clear()
        calls = [asyncio.create_task(engine.complete(chat(f"question {i} of many"), SAMPLING)) for i in range(40)]
        await asyncio.sleep(0)  # lets all queue their requests
        vllm.running.set()
        await asyncio.gather(*calls)

    engine.start()
    asyncio.run(ask_at_once())

    assert max(vllm.batches) == 40
    assert len(vllm.batches) < 10


@given(
    st.builds(
        Sampling,
        max_tokens=st.integers(1, 8),
        temperature=st.floats(0, 2),
        top_p=st.floats(0.1, 1),
        frequency_penalty=st.floats(-2, 2),
        presence_penalty=st.floats(-2, 2),
        repetition_penalty=st.floats(0.5, 2),
        seed=st.none() | st.integers(0, 2**31),
        stop=st.lists(st.text(min_size=1), max_size=2).map(tuple),
        top_logprobs=st.integers(0, 5),
    )
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_sampling_parameter_reaches_the_engine(
    engine: VllmEngine, vllm: fake_vllm.FakeVllm, sampling: Sampling
) -> None:
    ask(engine, "a question", sampling=sampling)

    received = vllm.sampled_with[-1]
    received["top_logprobs"] = received["logprobs"] or 0  # vLLM's name for it
    assert {name: received[name] for name in asdict(sampling)} == asdict(sampling) | {"stop": list(sampling.stop)}


def test_a_request_that_is_too_long_is_refused_before_the_engine_sees_it(
    engine: VllmEngine, vllm: fake_vllm.FakeVllm
) -> None:
    refused, answered = ask(engine, "x " * 30, "short")

    assert isinstance(refused, LlmRefusedError)
    assert str(refused).startswith("the prompt has 30 tokens and its answer may have 8, but tiny@abc reads 32;")
    assert isinstance(answered, Completion)
    assert len(vllm.sampled_with) == 1


def test_a_request_that_just_fits_is_answered(engine: VllmEngine) -> None:
    (completion,) = ask(engine, "x " * 24)

    assert isinstance(completion, Completion)


def test_a_chat_that_the_template_refuses_fails_alone(engine: VllmEngine) -> None:
    async def both() -> list[Completion | LlmError]:
        return await complete_all(engine, [[Message("assistant", "I say")], chat("fine")], SAMPLING, concurrency=2)

    refused, answered = asyncio.run(both())

    assert isinstance(refused, LlmRefusedError)
    assert str(refused) == "tiny@abc can't be asked this: ValueError: the last turn must be the user's"
    assert isinstance(answered, Completion)


def test_a_stream_comes_in_pieces_whose_sum_is_the_completion(engine: VllmEngine) -> None:
    async def stream() -> list[Delta]:
        return [delta async for delta in engine.stream(chat("one two three"), SAMPLING)]

    deltas = asyncio.run(stream())

    assert [delta.text for delta in deltas] == ["one", " two", " three"]
    assert [delta.completion is None for delta in deltas] == [True, True, False]
    assert [deltas[-1].completion] == ask(engine, "one two three")


def test_closing_a_stream_aborts_its_request(engine: VllmEngine, vllm: fake_vllm.FakeVllm) -> None:
    async def first_piece() -> str:
        await engine.complete(chat("warm up"), SAMPLING)
        stream = engine.stream(chat("word " * 20), replace(SAMPLING, max_tokens=12))
        vllm.running.clear()
        vllm.steps.release()
        piece = await anext(stream)
        await stream.aclose()
        vllm.running.set()
        await engine.complete(chat("another"), SAMPLING)  # queued after the abort
        return piece.text

    assert asyncio.run(first_piece()) == "word"
    assert len(vllm.aborted) == 1


def test_cancelling_a_call_aborts_its_request_and_no_other(engine: VllmEngine, vllm: fake_vllm.FakeVllm) -> None:
    async def cancel_one() -> Completion:
        await engine.complete(chat("warm up"), SAMPLING)
        vllm.running.clear()
        other = asyncio.create_task(engine.complete(chat("stays here"), SAMPLING))
        call = asyncio.create_task(engine.complete(chat("one two three four five"), SAMPLING))
        await asyncio.sleep(0)  # lets both queue their requests
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        vllm.running.set()
        return await other

    assert asyncio.run(cancel_one()).text == "stays here"
    ask(engine, "later")
    assert len(vllm.aborted) == 1


def test_the_death_of_the_engine_fails_what_is_in_flight_and_the_next_call_starts_another(
    engine: VllmEngine, vllm: fake_vllm.FakeVllm
) -> None:
    vllm.dies = True
    failures = ask(engine, "one two", "three four")
    vllm.dies = False
    (answered,) = ask(engine, "one two")

    assert {type(failure) for failure in failures} == {LlmUnavailableError}
    assert str(failures[0]) == "the engine died (RuntimeError: CUDA error: an illegal memory access); ask again"
    assert isinstance(answered, Completion)
    assert (len(vllm.started_with), vllm.ended) == (2, 1)


def test_an_engine_that_keeps_dying_is_not_started_for_ever(engine: VllmEngine, vllm: fake_vllm.FakeVllm) -> None:
    vllm.dies = True
    failures = [ask(engine, "one")[0] for _ in range(MAX_DEATHS + 2)]

    assert len(vllm.started_with) == MAX_DEATHS
    assert str(failures[-1]) == f"the engine died {MAX_DEATHS} times in a row; restart the process"


def test_an_answer_resets_the_count_of_deaths(engine: VllmEngine, vllm: fake_vllm.FakeVllm) -> None:
    for _ in range(MAX_DEATHS + 2):
        vllm.dies = True
        ask(engine, "one")
        vllm.dies = False
        (answered,) = ask(engine, "one")
        assert isinstance(answered, Completion)


def test_a_model_that_cannot_be_loaded_is_one_sentence_for_operator_and_caller(
    engine: VllmEngine, vllm: fake_vllm.FakeVllm, model: ModelFolder
) -> None:
    vllm.fails_to_start = "no such architecture\nlong story"
    sentence = f"vLLM can't load tiny from {model.path}: ValueError: no such architecture"

    with pytest.raises(ModelError) as started:
        engine.start()
    (asked,) = ask(engine, "one")

    assert str(started.value) == sentence
    assert isinstance(asked, LlmUnavailableError)
    assert str(asked) == sentence


def test_close_ends_the_engine_its_thread_and_every_call(engine: VllmEngine, vllm: fake_vllm.FakeVllm) -> None:
    engine.start()
    engine.close()
    (refused,) = ask(engine, "one")

    assert vllm.ended == 1
    assert "vllm-engine" not in {thread.name for thread in threading.enumerate()}
    assert str(refused) == "the engine is closed"


def test_close_fails_what_is_in_flight(engine: VllmEngine, vllm: fake_vllm.FakeVllm) -> None:
    async def close_while_asking() -> None:
        await engine.complete(chat("warm up"), SAMPLING)
        vllm.running.clear()
        call = asyncio.create_task(engine.complete(chat("one two three four five six"), SAMPLING))
        await asyncio.sleep(0)  # lets it queue its request
        closing = asyncio.get_running_loop().run_in_executor(None, engine.close)
        vllm.running.set()
        await closing
        with pytest.raises(LlmUnavailableError, match="closed"):
            await call

    asyncio.run(close_while_asking())


def test_event_loops_in_several_threads_share_the_engine(engine: VllmEngine) -> None:
    outcomes: list[Completion | LlmError] = []
    threads = [threading.Thread(target=lambda i=i: outcomes.extend(ask(engine, f"from {i}"))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(o.text for o in outcomes if isinstance(o, Completion)) == [f"from {i}" for i in range(8)]


def test_an_adapter_answers_every_request_under_its_own_identity(
    vllm: fake_vllm.FakeVllm, model: ModelFolder, tmp_path: Path
) -> None:
    adapter = Adapter("tuned", tmp_path / "lora", "123", 8)
    engine = VllmEngine(replace(model, name="tuned", revision="123", adapter=adapter), VllmSettings(), 32)

    said = asyncio.run(engine.complete([Message("user", "one")], SAMPLING))
    engine.close()

    assert said.model == "tuned@123"
    assert vllm.adapted_with == [("tuned", 1, str(adapter.path))]
    started = vllm.started_with[0]
    assert (started["model"], started["enable_lora"], started["max_lora_rank"]) == (str(model.path), True, 8)


def test_a_model_alone_is_loaded_without_support_for_adapters(engine: VllmEngine, vllm: fake_vllm.FakeVllm) -> None:
    asyncio.run(engine.complete([Message("user", "one")], SAMPLING))

    assert "enable_lora" not in vllm.started_with[0]
    assert vllm.adapted_with == [None]


def test_loading_the_same_model_twice_gives_the_same_engine(vllm: fake_vllm.FakeVllm, model: ModelFolder) -> None:
    first = engine_for(model, VllmSettings(), 32)
    again = engine_for(model, VllmSettings(), 32)
    ask(first, "one")
    ask(again, "two")
    first.close()
    later = engine_for(model, VllmSettings(), 32)

    assert first is again
    assert len(vllm.started_with) == 1
    assert later is not first


def test_the_engine_is_set_up_for_the_machine_and_never_trusts_remote_code(
    engine: VllmEngine, vllm: fake_vllm.FakeVllm, model: ModelFolder
) -> None:
    engine.start()

    (arguments,) = vllm.started_with
    assert arguments["model"] == str(model.path)
    assert arguments["max_model_len"] == 32
    assert "trust_remote_code" not in arguments
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["VLLM_NO_USAGE_STATS"] == os.environ["DO_NOT_TRACK"] == "1"
