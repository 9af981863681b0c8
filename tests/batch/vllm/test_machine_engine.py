"""The worker processes of a machine share one engine."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batch.models.model_folder import ModelFolder
from batch.settings import VllmSettings
from batch.vllm.machine_engine import (
    POOL_FOLDER,
    POOL_ID,
    EngineRequest,
    MachineEngine,
    _answers,
    machine_engine,
    serve_engine,
)
from rag.errors import LlmRefusedError, LlmUnavailableError, ModelError
from rag.llm.protocol import Completion, Delta, Message, Sampling
from tests.waiting import PATIENCE, until

MODEL = ModelFolder(Path("no-model"), "small", "r1", "language model", 1)
REQUEST = EngineRequest(MODEL, VllmSettings(), 4096)
SERVER = """
import asyncio, sys
from pathlib import Path
from batch.vllm.machine_engine import serve_engine
from tests.batch.vllm.test_machine_engine import Echo
with open(sys.argv[1] + ".starts", "a") as starts:
    starts.write("x")
asyncio.run(serve_engine(Echo(), Path(sys.argv[1]), 30.0, lambda: not Path(sys.argv[1] + ".end").exists()))
"""


class Echo:
    """A model that repeats what it is asked, refuses to be asked nothing, and never answers "wait"."""

    model = "echo"

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self.cancelled = threading.Event()

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        if not messages[0].content:
            raise LlmRefusedError("nothing was asked")
        if messages[0].content == "wait":
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return Completion(messages[0].content, "stop", 1, sampling.max_tokens, "echo", cached_tokens=7)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta, None]:
        yield Delta("", await self.complete(messages, sampling))


def test_answers_and_refusals_come_back_as_they_are_and_a_worker_that_is_gone_frees_its_place(tmp_path: Path) -> None:
    echo, path = Echo(), tmp_path / "engine.sock"
    ended = threading.Event()
    serving = threading.Thread(
        target=lambda: asyncio.run(serve_engine(echo, path, 60.0, lambda: not ended.is_set())), daemon=True
    )
    serving.start()
    until("the engine is served", lambda: _answers(path))
    engine = MachineEngine(path, "small@r1")

    async def ask() -> list[Completion]:
        answers = await asyncio.gather(*(engine.complete([Message("user", f"{n}?")], Sampling(9)) for n in range(20)))
        with pytest.raises(LlmRefusedError, match="nothing was asked"):
            await engine.complete([Message("user", "")], Sampling())
        call = asyncio.create_task(engine.complete([Message("user", "wait")], Sampling()))
        await asyncio.to_thread(echo.waiting.wait, PATIENCE)
        call.cancel()
        await asyncio.to_thread(echo.cancelled.wait, PATIENCE)
        return answers

    answers = asyncio.run(ask())

    assert echo.cancelled.is_set()
    assert [each.text for each in answers] == [f"{n}?" for n in range(20)]
    assert (answers[0].completion_tokens, answers[0].cached_tokens) == (9, 7)
    ended.set()
    serving.join()
    with pytest.raises(LlmUnavailableError, match="engine is gone"):
        asyncio.run(engine.complete([Message("user", "more?")], Sampling()))


def test_the_first_process_starts_the_engine_and_the_others_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POOL_FOLDER, str(tmp_path))
    (tmp_path / POOL_ID).write_text(str(os.getpid()))
    command = [sys.executable, "-c", SERVER]
    with ThreadPoolExecutor() as processes:
        engines = list(processes.map(lambda _: machine_engine(REQUEST, command), range(3)))

    said = [asyncio.run(engine.complete([Message("user", "Who?")], Sampling())).text for engine in engines]

    (tmp_path / f"{REQUEST.key}.sock.end").touch()
    assert said == ["Who?"] * 3
    assert engines[0].model == "small@r1"
    assert (tmp_path / f"{REQUEST.key}.sock.starts").read_text() == "x"


def test_an_engine_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POOL_FOLDER, str(tmp_path))
    command = [sys.executable, "-c", "raise SystemExit('the card has no room')"]

    with pytest.raises(ModelError, match="did not start: the card has no room"):
        machine_engine(REQUEST, command)
