"""The real vLLM in this process, with the example's model."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch.models.model_folder import ModelFolder
from batch.models.pull import pull
from batch.settings import VllmSettings
from batch.vllm.engine import VllmEngine, engine_for
from rag.errors import LlmRefusedError, LlmUnavailableError
from rag.llm.protocol import Completion, Delta, Message, Sampling, complete_all

# vLLM, torch and transformers warn about each other.
pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
SAMPLING = Sampling(max_tokens=24)


@pytest.fixture(scope="module")
def model(models_folder: Path) -> ModelFolder:
    return pull("smollm2-135m-instruct", models_folder)


@pytest.fixture(scope="module")
def engine(model: ModelFolder) -> Iterator[VllmEngine]:
    engine = engine_for(model, VllmSettings(kv_cache_gb=1), context_tokens=2048)
    engine.start()
    yield engine
    engine.close()


def question(text: str) -> list[Message]:
    return [Message("user", text)]


def test_the_model_answers_sensibly_and_says_why_it_stopped(engine: VllmEngine, model: ModelFolder) -> None:
    completion = asyncio.run(engine.complete(question("What is the capital of France?"), SAMPLING))

    assert "Paris" in completion.text
    assert completion.finish_reason in ("stop", "length")
    assert completion.model == model.identity
    assert 0 < completion.completion_tokens <= 24
    assert completion.prompt_tokens > 10


def test_a_stream_is_the_completion_in_pieces(engine: VllmEngine) -> None:
    async def both() -> tuple[list[Delta], Completion]:
        deltas = [delta async for delta in engine.stream(question("What is a tuple?"), SAMPLING)]
        return deltas, await engine.complete(question("What is a tuple?"), SAMPLING)

    deltas, completion = asyncio.run(both())

    assert len(deltas) > 5
    assert "".join(delta.text for delta in deltas) == completion.text
    assert deltas[-1].completion is not None
    assert deltas[-1].completion.text == completion.text


def test_stop_strings_and_lengths_are_obeyed(engine: VllmEngine) -> None:
    chat = question("Count: one, two, three, four, five, six, seven.")
    free = asyncio.run(engine.complete(chat, SAMPLING))
    word = free.text.split()[3]
    stopped = asyncio.run(engine.complete(chat, Sampling(max_tokens=24, stop=(word,))))
    cut = asyncio.run(engine.complete(chat, Sampling(max_tokens=3)))

    assert free.text.startswith(stopped.text)
    assert word not in stopped.text
    assert stopped.finish_reason == "stop"
    assert (cut.completion_tokens, cut.finish_reason) == (3, "length")


def test_a_shared_prefix_is_read_once(engine: VllmEngine) -> None:
    context = "The library opens at nine. " * 60
    first, second = (
        asyncio.run(engine.complete(question(context + ending), SAMPLING)) for ending in ("When?", "Where is it?")
    )

    assert first.cached_tokens == 0
    assert second.cached_tokens > 250


def test_wrong_requests_fail_alone(engine: VllmEngine) -> None:
    async def mixed() -> list[object]:
        calls = [
            engine.complete(question("word " * 3000), SAMPLING),
            engine.complete(question("hello"), Sampling(temperature=-1)),
            engine.complete(question("hello"), SAMPLING),
        ]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    too_long, bad, answered = asyncio.run(mixed())

    assert isinstance(too_long, LlmRefusedError)
    assert "reads 2048" in str(too_long)
    assert isinstance(bad, LlmRefusedError)
    assert "temperature" in str(bad)
    assert isinstance(answered, Completion)


def test_a_cancelled_call_leaves_the_engine_free(engine: VllmEngine) -> None:
    async def cancel_and_ask() -> Completion:
        stream = engine.stream(question("Tell a very long story."), Sampling(max_tokens=1500))
        await anext(stream)
        await stream.aclose()
        return await engine.complete(question("hello"), Sampling(max_tokens=1))

    assert asyncio.run(cancel_and_ask()).completion_tokens == 1
    assert engine._life is not None
    assert not engine._life._requests


def test_the_death_of_the_engine_is_survived(engine: VllmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.v1.engine.core_client import InprocClient

    def die(_: object) -> None:
        raise RuntimeError("out of memory")

    chats = [question(f"What is {n} plus one?") for n in range(8)]
    with monkeypatch.context() as broken:
        broken.setattr(InprocClient, "get_output", die)
        failures = asyncio.run(complete_all(engine, chats, SAMPLING, concurrency=8))
    answers = asyncio.run(complete_all(engine, chats, SAMPLING, concurrency=8))

    assert {type(failure) for failure in failures} == {LlmUnavailableError}
    assert "out of memory" in str(failures[0])
    assert all(isinstance(answer, Completion) for answer in answers)


def test_a_process_with_an_engine_is_quiet_and_ends_wholly(model: ModelFolder) -> None:
    script = f"""
        import asyncio
        from pathlib import Path
        from batch.models.model_folder import locate
        from batch.vllm.engine import engine_for
        from batch.settings import VllmSettings
        from rag.llm.protocol import Message, Sampling
        model = locate("smollm2-135m-instruct", Path({str(model.path.parent)!r}))
        engine = engine_for(model, VllmSettings(kv_cache_gb=1), 512)
        print(asyncio.run(engine.complete([Message("user", "hello")], Sampling(max_tokens=2))).completion_tokens)
    """
    environment = {name: value for name, value in os.environ.items() if name != "VLLM_LOGGING_LEVEL"}
    process = subprocess.run(
        [sys.executable, "-W", "default", "-c", textwrap.dedent(script)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip

    assert process.returncode == 0
    assert process.stdout == "2\n"
    assert process.stderr == ""
