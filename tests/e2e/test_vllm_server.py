"""The real vLLM as a microservice, with the example's model."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from batch.models.model_folder import ModelFolder
from batch.models.named_model import describe_adapter
from batch.models.pull import pull
from batch.settings import VllmSettings
from batch.vllm.server import running_llm_server
from rag.errors import ModelError
from tests.tiny_adapter import write_adapter
from tests.waiting import until

pytestmark = pytest.mark.vllm

SETTINGS = VllmSettings(kv_cache_gb=1)


@pytest.fixture(scope="module")
def model(models_folder: Path) -> ModelFolder:
    return pull("smollm2-135m-instruct", models_folder)


@pytest.fixture(scope="module")
def running() -> Iterator[contextlib.ExitStack]:
    """What runs for this module's tests; the last of them ends it and looks at what is left."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def server(model: ModelFolder, running: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory) -> httpx.Client:
    folder = tmp_path_factory.mktemp("llm")
    tuned = describe_adapter("tuned", write_adapter(folder / "tuned", model.path), "1")
    served = replace(model, adapters=(tuned,))
    url = running.enter_context(running_llm_server(served, SETTINGS, 2048, folder / "llm.log"))
    return running.enter_context(httpx.Client(base_url=url, timeout=120))


def body(model: ModelFolder, **more: object) -> dict[str, object]:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    return {"model": model.identity, "messages": messages, "temperature": 0, "max_tokens": 16, **more}


def test_it_answers_under_the_models_identity_and_counts_tokens(server: httpx.Client, model: ModelFolder) -> None:
    answer = server.post("/chat/completions", json=body(model)).raise_for_status().json()

    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["model"] == model.identity
    assert answer["usage"]["completion_tokens"] <= 16
    assert "cached_tokens" in answer["usage"]["prompt_tokens_details"]


def test_it_is_known_by_its_plain_name_too(server: httpx.Client, model: ModelFolder) -> None:
    listed = server.get("/models").raise_for_status().json()

    assert [row["id"] for row in listed["data"] if row["parent"] is None] == [model.identity, model.name]


def test_an_adapter_answers_under_its_name_and_the_model_as_before(server: httpx.Client, model: ModelFolder) -> None:
    said = {
        name: server.post("/chat/completions", json={**body(model), "model": name}).raise_for_status().json()
        for name in ("tuned", model.name)
    }

    assert said["tuned"]["model"] == "tuned"
    assert "Paris" not in said["tuned"]["choices"][0]["message"]["content"]
    assert "Paris" in said[model.name]["choices"][0]["message"]["content"]


def test_it_streams(server: httpx.Client, model: ModelFolder) -> None:
    whole = server.post("/chat/completions", json=body(model)).json()["choices"][0]["message"]["content"]
    with server.stream("POST", "/chat/completions", json=body(model, stream=True)) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]

    chunks = [json.loads(line) for line in lines[:-1]]
    assert lines[-1] == "[DONE]"
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == whole


def test_a_request_that_is_too_long_is_a_client_error(server: httpx.Client, model: ModelFolder) -> None:
    response = server.post("/chat/completions", json=body(model, max_tokens=4000))

    assert response.status_code == 400
    assert "error" in response.json()


def test_requests_at_once_are_all_answered(server: httpx.Client, model: ModelFolder) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(server.post("/chat/completions", json=body(model)).status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 8


def test_nothing_is_left_when_it_is_stopped_in_the_middle_of_an_answer(
    server: httpx.Client, model: ModelFolder, running: contextlib.ExitStack
) -> None:
    in_flight = body(model, max_tokens=1900, ignore_eos=True, stream=True)
    with server.stream("POST", "/chat/completions", json=in_flight) as response:
        next(response.iter_lines())
        group = process_group()
        running.close()

    assert group_ends(group)


def process_group() -> int:
    """Find the group of the server that this process has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"batch.vllm.server {os.getpid()} " in (folder / "cmdline").read_text().replace("\0", " "):
                return os.getpgid(int(folder.name))
    raise AssertionError("no server runs")


def group_ends(group: int) -> bool:
    """Wait until no process of the group is left; one that was killed is reaped in init's own time."""

    def ended() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    return until("the processes have ended", ended)


def test_a_model_that_vllm_cannot_load_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["Nonsense"]}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    torn = ModelFolder(tmp_path, "torn", "abc", "language model", 1)

    with (
        pytest.raises(ModelError, match=r"^vLLM did not start: "),
        running_llm_server(torn, SETTINGS, 128, tmp_path / "llm.log"),
    ):
        pass
