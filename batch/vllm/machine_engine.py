"""One engine for all worker processes of a machine, which outlives them from stage to stage.

Where a pool has several processes, each would load the model. The first that needs it starts the engine as a process of
its own, under a lock; the others find its socket in the pool's private folder. It ends with the pool, or after ten
minutes without a request, so that a cluster that rests gives the memory back. A request costs a message each way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch.models.model_folder import ModelFolder
from batch.settings import VllmSettings
from rag.errors import LlmError, LlmUnavailableError, ModelError
from rag.identity import stable_hash
from rag.llm.protocol import Completion, Delta, Llm, Message, Sampling
from warehouse.lease import exclusive

POOL_FOLDER = "BEFOREHAND_POOL_FOLDER"
"""The variable that names the private folder of the pool that a worker process belongs to."""
POOL_ID = "pid"
"""The file in that folder that holds the id of the pool's process."""
_COMMAND = (sys.executable, "-m", "batch.vllm.engine_process")
_START_SECONDS = 1800.0  # a large model from a slow disk
_LOOK_SECONDS = 0.5
_LENGTH = 8  # bytes before each message


@dataclass(frozen=True)
class EngineRequest:
    """What an engine is made of."""

    model: ModelFolder
    settings: VllmSettings
    context_tokens: int

    @property
    def key(self) -> str:
        """What tells it from other engines."""
        settings = self.settings.model_dump_json()
        return stable_hash(str(self.model.path), self.model.revision, settings, self.context_tokens)[:16]


class MachineEngine:
    """The engine of this machine, for one of its processes; safe to call from several tasks at once."""

    def __init__(self, path: Path, model: str) -> None:
        self._path = path
        self._model = model

    @property
    def model(self) -> str:
        """The model's name and revision."""
        return self._model

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        """Generate the answer to one chat. Cancelling the call cancels the request."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._path))
        except OSError as error:
            raise LlmUnavailableError(f"this machine's engine is gone ({error}); ask again", lost=True) from None
        try:
            await _write(writer, (list(messages), sampling))
            reply = await _read(reader)
        except (OSError, asyncio.IncompleteReadError):
            raise LlmUnavailableError("this machine's engine ended; ask again", lost=True) from None
        finally:
            writer.close()
        if isinstance(reply, Completion):
            return reply
        assert isinstance(reply, LlmError)
        raise reply

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Stream the answer to one chat: as one piece, since nobody waits for the first words in a batch."""
        completion = await self.complete(messages, sampling)
        yield Delta(completion.text, completion)


def machine_engine(request: EngineRequest, command: Sequence[str] = _COMMAND) -> Llm:
    """Return this machine's engine, and start it if it does not run.

    Raises:
        ModelError: it can't be started; the message says why.
    """
    folder = Path(os.environ[POOL_FOLDER])
    path = folder / f"{request.key}.sock"
    with exclusive(folder / f"{request.key}.lock"):
        if not _answers(path):
            path.unlink(missing_ok=True)
            _start(request, path, command)
    return MachineEngine(path, request.model.identity)


def _start(request: EngineRequest, path: Path, command: Sequence[str]) -> None:
    log = path.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, str(path)], stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stream:
        pickle.dump(request, stream)
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(path):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said = log.read_text(errors="replace").strip().splitlines() or ["no reason was given"]
            raise ModelError(f"the engine of this machine did not start: {said[-1]}")
        time.sleep(0.05)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


async def serve_engine(engine: Llm, path: Path, idle_seconds: float, pool_lives: Callable[[], bool]) -> None:
    """Answer chats at a socket until nobody has asked for `idle_seconds`, or the pool is gone."""
    busy: set[object] = set()
    last = time.monotonic()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal last
        token = object()
        busy.add(token)
        try:
            asked = await _read(reader)
            assert isinstance(asked, tuple)
            messages, sampling = asked
            await _write(writer, await _unless_gone(reader, _outcome(engine, messages, sampling)))
        except (OSError, asyncio.IncompleteReadError):  # a probe, or a worker that is gone
            pass
        finally:
            busy.discard(token)
            last = time.monotonic()
            writer.close()

    async with await asyncio.start_unix_server(handle, str(path)):
        while pool_lives() and (busy or time.monotonic() - last < idle_seconds):  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(_LOOK_SECONDS)


async def _outcome(engine: Llm, messages: Sequence[Message], sampling: Sampling) -> Completion | LlmError:
    try:
        return await engine.complete(messages, sampling)
    except LlmError as error:
        return error


async def _unless_gone(
    reader: asyncio.StreamReader, work: Coroutine[None, None, Completion | LlmError]
) -> Completion | LlmError:
    """Return what the work gives; cancel it when the other side closes the connection.

    Raises:
        ConnectionError: it did.
    """
    working = asyncio.create_task(work)
    closed = asyncio.create_task(reader.read(1))
    await asyncio.wait({working, closed}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        working.cancel()
        raise ConnectionError("the worker is gone")
    closed.cancel()
    return working.result()


async def _write(writer: asyncio.StreamWriter, message: object) -> None:
    data = pickle.dumps(message)  # between processes of one user, in a folder that no other may enter
    writer.write(len(data).to_bytes(_LENGTH, "big") + data)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> object:
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    message: object = pickle.loads(await reader.readexactly(length))  # see `_write`
    return message
