"""vLLM's own calls: build an engine, render a chat, describe a request, take an engine down.

Only here are names of vLLM imported, and only when they are needed: the import takes 10 to 30 s.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from batch.models.model_folder import ModelFolder
from batch.models.named_model import Adapter
from batch.settings import VllmSettings
from batch.vllm.platform import engine_arguments, environment, installed_backend, model_arguments
from rag.errors import ModelError
from rag.llm.protocol import Completion, Message, Sampling

Vllm = Any  # vLLM's own objects, which are not typed here


def build(model: ModelFolder, settings: VllmSettings, context_tokens: int) -> Vllm:
    """Import vLLM and load the model, without its output.

    Raises:
        ModelError: vLLM can't load it; the message is one sentence with vLLM's reason.
    """
    backend = installed_backend()
    os.environ.update(environment(backend, settings, os.environ))
    _log_as_asked(os.environ["VLLM_LOGGING_LEVEL"])
    warnings.filterwarnings("ignore", module=r"(vllm|torch|transformers)\b")
    from vllm.engine.arg_utils import EngineArgs
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.llm_engine import LLMEngine

    arguments = engine_arguments(model.path, settings, context_tokens, backend) | model_arguments(model)
    calm_llvmlite()
    try:
        return LLMEngine.from_engine_args(
            EngineArgs(**arguments, use_tqdm_on_load=False, disable_log_stats=True),
            usage_context=UsageContext.LLM_CLASS,
        )
    except Exception as error:
        raise ModelError(f"vLLM can't load {model.name} from {model.path}: {first_line(error)}") from error


def _log_as_asked(level: str) -> None:
    """Have vLLM log to standard error from a level on, without a configuration of its own.

    Its `dictConfig` holds the lock of `logging` while it flushes every handler of the process. Prefect's flushes wait
    for threads that may wait for that lock, so a build with an engine stood still for ever.
    """
    os.environ["VLLM_CONFIGURE_LOGGING"] = "0"
    logger = logging.getLogger("vllm")
    logger.setLevel(level)
    logger.propagate = False
    if not any(isinstance(handler, logging.StreamHandler) for handler in logger.handlers):
        logger.addHandler(logging.StreamHandler())


def calm_llvmlite() -> None:
    """Make llvmlite's library object, which numba (through bm25s) may have loaded, survive vLLM's scan of all modules.

    The scan asks every object for its `__dict__`; this one answers with a C function instead of a mapping, and
    vLLM 0.32.0 does not start.
    """
    ffi = sys.modules.get("llvmlite.binding.ffi")
    if ffi is not None:
        ffi.lib._fntab.setdefault("__dict__", {})


def render(engine: Vllm, messages: Sequence[Message]) -> Vllm:
    """Fill the model's chat template and tokenise it, as vLLM's own chat routes do."""
    from vllm.renderers import ChatParams, TokenizeParams

    template = ChatParams(
        chat_template_content_format="auto",
        chat_template_kwargs={"add_generation_prompt": True, "continue_final_message": False, "tokenize": False},
    )
    turns = [{"role": m.role, "content": m.content} for m in messages]
    tokens = TokenizeParams(max_total_tokens=None, add_special_tokens=False)
    _, (prompt,) = engine.renderer.render_chat([turns], template, tokens)
    return prompt


def lora_request(adapter: Adapter | None) -> Vllm:
    """Return what a request says of the adapter that answers it; None for the model itself."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, 1, str(adapter.path))


def sampling_params(sampling: Sampling, streaming: bool) -> Vllm:
    """Return vLLM's sampling parameters of a request."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        repetition_penalty=sampling.repetition_penalty,
        seed=sampling.seed,
        stop=list(sampling.stop),
        logprobs=sampling.top_logprobs or None,
        output_kind=RequestOutputKind.DELTA if streaming else RequestOutputKind.FINAL_ONLY,
    )


def completion(output: Vllm, text: str, tokens: int, model: str) -> Completion:
    """Return the completion of a finished request, whose text and count of tokens were collected on the way."""
    return Completion(
        text=text,
        finish_reason=output.outputs[0].finish_reason,
        prompt_tokens=len(output.prompt_token_ids),
        completion_tokens=tokens,
        model=model,
        cached_tokens=output.num_cached_tokens or 0,
        message={"role": "assistant", "content": text},
        first_tokens=_first_tokens(output.outputs[0].logprobs),
    )


def _first_tokens(logprobs: Vllm) -> dict[str, float]:
    """Return the probabilities of the first token's alternatives, where they were asked for."""
    likeliest = logprobs[0].values() if logprobs else ()
    return {each.decoded_token: math.exp(each.logprob) for each in likeliest if each.decoded_token is not None}


def take_down(engine: Vllm) -> None:
    """Free the engine's memory and its process group, even after it died; further errors don't matter."""
    with contextlib.suppress(Exception):
        engine.engine_core.shutdown()
    with contextlib.suppress(Exception):
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        cleanup_dist_env_and_memory()
    gc.collect()


def first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".: ")
