"""A fake of the package vLLM: the few names that the engine imports, without a model.

A token is a word. The model answers with the last message's words, one per step; a step of all requests in flight is
one batch. It can be made to die or to refuse to start. While `running` is cleared it takes one step for each release
of `steps`.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@dataclass
class FakeVllm:
    """What the tests observe and control."""

    started_with: list[dict[str, Any]] = field(default_factory=list)
    sampled_with: list[dict[str, Any]] = field(default_factory=list)
    adapted_with: list[Any] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    ended: int = 0
    fails_to_start: str = ""
    dies: bool = False
    running: threading.Event = field(default_factory=threading.Event)
    steps: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self, arguments: Any, **_: object) -> FakeEngine:
        if self.fails_to_start:
            raise ValueError(self.fails_to_start)
        self.started_with.append(vars(arguments))
        return FakeEngine(self)


class FakeEngine:
    """The part of vLLM's LLMEngine that our engine uses."""

    def __init__(self, vllm: FakeVllm) -> None:
        self.vllm = vllm
        self.renderer = SimpleNamespace(render_chat=self.render_chat)
        self.engine_core = SimpleNamespace(shutdown=self.shutdown)
        self.waiting: dict[str, tuple[list[str], Any]] = {}

    def shutdown(self) -> None:
        self.vllm.ended += 1

    def render_chat(self, conversations: list[list[dict[str, str]]], *_: object) -> Any:
        (turns,) = conversations
        if turns[-1]["role"] != "user":
            raise ValueError("the last turn must be the user's\nwith more lines")
        return turns, [{"prompt_token_ids": turns[-1]["content"].split()}]

    def add_request(self, request_id: str, prompt: Any, parameters: Any, lora_request: Any) -> None:
        self.vllm.adapted_with.append(lora_request)
        self.vllm.sampled_with.append(vars(parameters))
        self.waiting[request_id] = (prompt["prompt_token_ids"], parameters)
        self.said: dict[str, int] = getattr(self, "said", {}) | {request_id: 0}

    def abort_request(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            self.vllm.aborted.append(request_id)
            self.waiting.pop(request_id)

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def step(self) -> list[Any]:
        may_step = False
        while not may_step:
            may_step = self.vllm.running.wait(0.01) or self.vllm.steps.acquire(blocking=False)
        if self.vllm.dies:
            raise RuntimeError("CUDA error: an illegal memory access\nand a long trace")
        self.vllm.batches.append(len(self.waiting))
        return [output for request_id in list(self.waiting) for output in self.advance(request_id)]

    def advance(self, request_id: str) -> list[Any]:
        prompt, parameters = self.waiting[request_id]
        self.said[request_id] += 1
        words = prompt[: parameters.max_tokens]
        finished = self.said[request_id] >= len(words)
        if finished:
            del self.waiting[request_id]
        if not finished and parameters.output_kind == "final":
            return []
        new = words if parameters.output_kind == "final" else words[self.said[request_id] - 1 : self.said[request_id]]
        first = parameters.output_kind == "final" or self.said[request_id] == 1
        piece = SimpleNamespace(
            text=("" if first else " ") + " ".join(new),
            token_ids=new,
            logprobs=None,
            finish_reason=("stop" if len(words) == len(prompt) else "length") if finished else None,
        )
        return [SimpleNamespace(request_id=request_id, finished=finished, outputs=[piece],
                                prompt_token_ids=prompt, num_cached_tokens=1)]  # fmt: skip


def install(monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    """Put the fake where `import vllm` finds it."""
    vllm = FakeVllm()
    vllm.running.set()
    kinds = SimpleNamespace(DELTA="delta", FINAL_ONLY="final")
    modules: dict[str, dict[str, Any]] = {
        "vllm": {"SamplingParams": SimpleNamespace},
        "vllm.sampling_params": {"RequestOutputKind": kinds},
        "vllm.renderers": {"ChatParams": SimpleNamespace, "TokenizeParams": SimpleNamespace},
        "vllm.engine": {},
        "vllm.engine.arg_utils": {"EngineArgs": SimpleNamespace},
        "vllm.usage": {},
        "vllm.usage.usage_lib": {"UsageContext": SimpleNamespace(LLM_CLASS="llm")},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.llm_engine": {"LLMEngine": SimpleNamespace(from_engine_args=vllm.start)},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": lambda name, number, path: (name, number, path)},
        "vllm.distributed": {},
        "vllm.distributed.parallel_state": {"cleanup_dist_env_and_memory": lambda: None},
    }
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    return vllm
