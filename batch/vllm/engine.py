"""vLLM in this process, behind the protocol of `rag.llm.protocol`.

One background thread owns vLLM's engine and steps it; calls from any event loop hand it a request and wait. So many
concurrent calls form one continuous batch, which is where the throughput comes from (docs/measurements.md). A request
that is wrong or too long fails alone. If the engine itself dies, all requests in flight fail as unavailable and the
next call starts a new one, at most `MAX_DEATHS` times in a row. The engine ends with the process: it has no process
of its own unless it spans several GPUs.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from batch.models.model_folder import ModelFolder
from batch.settings import VllmSettings
from batch.vllm.engine_calls import (
    Vllm,
    build,
    completion,
    first_line,
    lora_request,
    render,
    sampling_params,
    take_down,
)
from batch.vllm.platform import context_length
from rag.errors import LlmError, LlmRefusedError, LlmUnavailableError, ModelError
from rag.llm.protocol import Completion, Delta, Message, Sampling

MAX_DEATHS = 3


class VllmEngine:
    """A language model in this process, safe to call from several tasks, threads and event loops at once."""

    def __init__(self, model: ModelFolder, settings: VllmSettings, context_tokens: int) -> None:
        self._model = model
        self._context = context_length(model.path, context_tokens)
        self._build = partial(build, model, settings, context_tokens)
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._life: _Life | None = None
        self._deaths = 0
        self._closed = False

    @property
    def model(self) -> str:
        """The model's name and revision."""
        return self._model.identity

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def start(self) -> None:
        """Load the model now rather than at the first call; return when it is ready (10 to 60 s).

        Raises:
            ModelError: vLLM can't load the model; the message says why.
        """
        self._alive().started.result()

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        """Generate the answer to one chat. Cancelling the call cancels the request."""
        async with contextlib.aclosing(self._deltas(messages, sampling, streaming=False)) as deltas:
            async for delta in deltas:
                if delta.completion is not None:
                    return delta.completion
        raise LlmUnavailableError("the engine ended without an answer; ask again")

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Stream the answer to one chat. Closing the iterator cancels the request."""
        async with contextlib.aclosing(self._deltas(messages, sampling, streaming=True)) as deltas:
            async for delta in deltas:
                yield delta

    def close(self) -> None:
        """End the engine and its thread and free the memory; requests in flight fail as unavailable."""
        with self._lock:
            self._closed = True
            life, self._life = self._life, None
        atexit.unregister(self.close)
        if life is not None:
            life.stop()

    async def _deltas(
        self, messages: Sequence[Message], sampling: Sampling, *, streaming: bool
    ) -> AsyncGenerator[Delta, None]:
        life = self._alive()
        try:
            if not life.started.done():
                await asyncio.wrap_future(life.started)
            life.started.result()
        except ModelError as error:
            raise LlmUnavailableError(str(error)) from error
        request = _Request(str(next(self._ids)), messages, sampling, streaming, asyncio.get_running_loop())
        life.ask(request)
        finished = False
        try:
            while not finished:
                outcome = await request.outcomes.get()
                finished = isinstance(outcome, LlmError) or outcome.completion is not None
                if isinstance(outcome, LlmError):
                    raise outcome
                self._deaths = 0
                yield outcome
        finally:
            if not finished:
                life.drop(request)

    def _alive(self) -> _Life:
        """Return the running engine's life, or begin a new one."""
        with self._lock:
            if self._closed:
                raise LlmUnavailableError("the engine is closed")
            if self._life is not None and not self._life.dead:
                return self._life
            if self._life is None:
                atexit.register(self.close)
            elif self._deaths + 1 >= MAX_DEATHS:
                raise LlmUnavailableError(f"the engine died {MAX_DEATHS} times in a row; restart the process")
            else:
                self._deaths += 1
            self._life = _Life(self._build, self._context, self._model, predecessor=self._life)
            return self._life


@dataclass
class _Request:
    """A chat in flight: the request, the text so far, and the queue for its outcomes."""

    id: str
    messages: Sequence[Message]
    sampling: Sampling
    streaming: bool
    loop: asyncio.AbstractEventLoop
    outcomes: asyncio.Queue[Delta | LlmError] = field(default_factory=asyncio.Queue)
    text: str = ""
    tokens: int = 0

    def put(self, outcome: Delta | LlmError) -> None:
        """Pass an outcome from the engine's thread to the caller's event loop."""
        with contextlib.suppress(RuntimeError):  # that loop is closed, so the caller is gone
            self.loop.call_soon_threadsafe(self.outcomes.put_nowait, outcome)


class _Life:
    """One life of vLLM's engine: a thread that builds it, steps it and shuts it down."""

    def __init__(self, build: Callable[[], Vllm], context: int, model: ModelFolder, predecessor: _Life | None) -> None:
        self.started: Future[None] = Future()
        self.started.set_running_or_notify_cancel()  # so that a cancelled caller can't cancel the start
        self.dead = False
        self._context = context
        self._model = model.identity
        self._adapter = model.adapter
        self._commands: queue.SimpleQueue[Callable[[Vllm], None] | None] = queue.SimpleQueue()
        self._requests: dict[str, _Request] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, args=(build, predecessor), name="vllm-engine", daemon=True)
        self._thread.start()

    def ask(self, request: _Request) -> None:
        """Queue a request for the engine's thread; its outcomes arrive in the request's queue."""
        with self._lock:
            if self.dead:
                raise LlmUnavailableError("the engine has just died; ask again")
            self._requests[request.id] = request
            self._commands.put(partial(self._admit, request))

    def drop(self, request: _Request) -> None:
        """Abort a request whose caller is gone."""
        self._commands.put(partial(self._abort, request))

    def stop(self) -> None:
        """End the thread and wait for it; one that is still loading ends by itself, or with the process."""
        self._commands.put(None)
        if self.started.done():
            self._thread.join()

    def _admit(self, request: _Request, engine: Vllm) -> None:
        """Render, check and add a request; an error in it fails this request alone."""
        try:
            prompt = render(engine, request.messages)
            self._refuse_too_long(len(prompt["prompt_token_ids"]), request.sampling.max_tokens)
            sampling = sampling_params(request.sampling, request.streaming)
            engine.add_request(request.id, prompt, sampling, lora_request=lora_request(self._adapter))
        except LlmError as error:
            self._requests.pop(request.id).put(error)
        except Exception as error:  # the template or vLLM's validation: a retry can't help
            refusal = LlmRefusedError(f"{self._model} can't be asked this: {first_line(error)}")
            self._requests.pop(request.id).put(refusal)

    def _refuse_too_long(self, prompt_tokens: int, max_tokens: int) -> None:
        if prompt_tokens + max_tokens > self._context:
            raise LlmRefusedError(
                f"the prompt has {prompt_tokens} tokens and its answer may have {max_tokens}, "
                f"but {self._model} reads {self._context}; ask for less or raise [llm] context_tokens"
            )

    def _abort(self, request: _Request, engine: Vllm) -> None:
        if self._requests.pop(request.id, None) is not None:
            engine.abort_request([request.id])

    def _run(self, build: Callable[[], Vllm], predecessor: _Life | None) -> None:
        if predecessor is not None:
            predecessor._thread.join()  # two engines at once would need twice the memory
        try:
            engine = build()
        except BaseException as error:
            self._end("the engine did not start; ask again")
            self.started.set_exception(error if isinstance(error, ModelError) else ModelError(first_line(error)))
            return
        self.started.set_result(None)
        reason = "the engine is closed"
        try:
            while self._obey(engine):
                for output in engine.step():
                    self._deliver(output)
        except BaseException as error:
            reason = f"the engine died ({first_line(error)}); ask again"
        take_down(engine)
        self._end(reason)

    def _obey(self, engine: Vllm) -> bool:
        """Run the queued commands; block while there is nothing to generate. Return False to end."""
        while True:
            try:
                command = self._commands.get(block=not engine.has_unfinished_requests())
            except queue.Empty:
                return True
            if command is None:
                return False
            command(engine)

    def _deliver(self, output: Vllm) -> None:
        request = self._requests.get(output.request_id)
        if request is None:
            return
        piece = output.outputs[0]
        request.text += piece.text
        request.tokens += len(piece.token_ids)
        if not output.finished:
            request.put(Delta(piece.text))
            return
        if piece.finish_reason in ("error", "abort"):
            outcome: Delta | LlmError = LlmUnavailableError("vLLM aborted this request; ask again")
        else:
            outcome = Delta(piece.text, completion(output, request.text, request.tokens, self._model))
        del self._requests[output.request_id]  # last: whatever fails above is told to all that wait
        request.put(outcome)

    def _end(self, reason: str) -> None:
        """Accept no more requests, and fail those in flight or in the queue."""
        with self._lock:
            self.dead = True
        for request in self._requests.values():
            request.put(LlmUnavailableError(reason, lost=True))
        self._requests.clear()


# -- one engine per process ------------------------------------------------------------------------------------

_engines: dict[tuple[str, str, str, int], VllmEngine] = {}
_engines_lock = threading.Lock()


def engine_for(model: ModelFolder, settings: VllmSettings, context_tokens: int) -> VllmEngine:
    """Return this process's engine for a model: the same one for the same arguments, as long as it is open.

    Beam loads a model again for each pipeline; an engine that is kept in this module outlives them.
    """
    key = (str(model.path.resolve()), model.revision, settings.model_dump_json(), context_tokens)
    with _engines_lock:
        engine = _engines.get(key)
        if engine is None or engine.closed:
            engine = _engines[key] = VllmEngine(model, settings, context_tokens)
        return engine
