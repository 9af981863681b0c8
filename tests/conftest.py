"""What the tests of several rooms share."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.corpus_project import Project, ReadingLlm
from tests.fake_llm import Behaviour, served
from tests.object_store import CREDENTIALS, Machines, StoreServer, serving_objects

# A property holds or not, however busy the machine is; every run tries the same examples, so that a red suite
# points at a change. `--hypothesis-profile=search` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

# Prefect would start a server of its own for what it still has to send when the tests' server is gone.
os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "false"

ROOT = Path(__file__).parents[1]
# Three processes share the tests (two leave a fifth of two cores idle). What starts the real vLLM as a service stays
# together, and so does what needs a Prefect server, so that neither is started twice. These take longest, so they come
# first; the engine in this very process comes last, since all that it imports stays.
_FIRST = ("llm service", "prefect")
_LAST = "llm engine"
PREFECT_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the tests to the processes by group, and by file where they belong to none."""
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    rank = {**{name: number for number, name in enumerate(_FIRST)}, _LAST: len(_FIRST) + 1}
    items.sort(key=lambda item: rank.get(groups[item], len(_FIRST)))


def _group(item: pytest.Item) -> str:
    if item.get_closest_marker("vllm"):
        return _LAST if item.path.stem == "test_vllm_engine" else "llm service"
    return "prefect" if "prefect_api" in getattr(item, "fixturenames", ()) else str(item.path)


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """The repository's own models folder: what is pulled once serves every later test run and the demo."""
    return ROOT / "models"


@pytest.fixture(scope="session")
def encoder_folder(models_folder: Path) -> Path:
    """The example's encoder with its ONNX form; the first use converts it (about half a minute)."""
    from batch.models.pull import pull

    return pull("all-minilm-l6-v2", models_folder).path


@pytest.fixture(scope="session")
def reading_llm() -> Iterator[ReadingLlm]:
    """One model over HTTP for all tests that generate; `llm` is the same, for one test."""
    model = ReadingLlm()
    with served(model.app) as model.url:
        yield model


@pytest.fixture
def llm(reading_llm: ReadingLlm) -> ReadingLlm:
    """The model as it was at first, with nothing asked of it yet."""
    reading_llm.requests.clear()
    reading_llm.behaviour = Behaviour()
    return reading_llm


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Prefect server for all tests that run flows, here or in processes of their own; it takes half a minute."""
    environment = pytest.MonkeyPatch()
    for name, value in PREFECT_ENVIRONMENT.items():
        environment.setenv(name, value)
    environment.delenv("PREFECT_API_URL", raising=False)
    home = tmp_path_factory.mktemp("prefect")
    environment.setenv("PREFECT_HOME", str(home))
    from flows.prefect_server import prefect_server

    # Where a user works there may be a file of any name; none is taken for a package.
    (home / "prefect.py").write_text("raise SystemExit('not the package')", encoding="utf-8")
    before = Path.cwd()
    os.chdir(home)
    with prefect_server(home) as server:
        os.chdir(before)
        assert server is not None
        server.wait_until_ready()
        url = os.environ["PREFECT_API_URL"]
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_LOGGING_LEVEL,
            PREFECT_LOGGING_TO_API_ENABLED,
            temporary_settings,
        )

        with temporary_settings(
            {PREFECT_API_URL: url, PREFECT_LOGGING_LEVEL: "CRITICAL", PREFECT_LOGGING_TO_API_ENABLED: False}
        ):
            yield url
    environment.undo()


@pytest.fixture(scope="session")
def base_project(
    tmp_path_factory: pytest.TempPathFactory,
    reading_llm: ReadingLlm,
    prefect_api: str,  # noqa: ARG001
    encoder_folder: Path,  # noqa: ARG001
) -> Project:
    """A project with one release, to be copied: that is quicker than to build it again."""
    project = Project.create(tmp_path_factory.mktemp("base") / "project", reading_llm.url)
    project.build()
    return project


@pytest.fixture(scope="session")
def reranker_source(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Path:
    """A folder with a small cross-encoder that has learned nothing, as a team may have trained one."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("reranker") / "tiny-reranker"
    torch.manual_seed(3)
    shape = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_labels=1,
        initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(shape).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def store_server() -> Iterator[StoreServer]:
    """An S3-compatible server with a bucket; tests that need one are skipped where moto is not installed."""
    if importlib.util.find_spec("moto") is None:  # importing it loads Flask
        pytest.skip("moto is not installed")
    pytest.importorskip("obstore")
    with serving_objects() as server:
        yield server


@pytest.fixture
def machines(store_server: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """Machines that share nothing but an empty store."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return Machines(store_server, store_server.new_address(), tmp_path)
