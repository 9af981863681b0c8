"""How the configuration is composed: the file, then the environment, then flags; paths beside the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from beforehand.configuration import prepare_environment, read_settings
from rag.credentials import reveal


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BEFOREHAND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "beforehand.toml"
    path.parent.mkdir()
    path.write_text("[retrieval]\npassages = 4\n[service]\nport = 8100\n")
    return path


def test_flags_win_over_the_environment_and_that_over_the_file(config: Path) -> None:
    assert read_settings((config, ())).retrieval.passages == 4
    os.environ["BEFOREHAND_RETRIEVAL__PASSAGES"] = "5"
    assert read_settings((config, ())).retrieval.passages == 5
    assert read_settings((config, ("retrieval.passages=6",))).retrieval.passages == 6


def test_an_option_of_a_command_wins_over_all(config: Path) -> None:
    assert read_settings((config, ("service.port=8200",)), {"service": {"port": 8300}}).service.port == 8300


def test_zero_is_a_value_and_not_unset(config: Path) -> None:
    settings = read_settings((config, ("retrieval.lexical_weight=0", "batch.anticipate_misses=0")))

    assert settings.retrieval.lexical_weight == 0
    assert settings.batch.anticipate_misses == 0


def test_passages_leave_room_for_the_answer_and_the_question(config: Path) -> None:
    assert read_settings((config, ())).retrieval.passage_tokens == 1500
    assert read_settings((config, ("llm.context_tokens=1192",))).retrieval.passage_tokens == 750
    assert read_settings((config, ("retrieval.passage_tokens=300",))).retrieval.passage_tokens == 300


def test_paths_are_relative_to_the_file_from_any_folder(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config.write_text(
        '[project]\ndata = "data"\n[prompt]\ntemplate = "../prompt.txt"\n[llm]\nmodel = "./weights"\n'
        '[encoder]\nmodel = "all-minilm-l6-v2"\n[audit]\ngolden = ["golden.jsonl"]\n'
        '[collections.one]\ndocuments = ["docs/*.md", "/corpus", "s3://bucket/docs"]\n'
        'questions = ["../questions.txt"]\n'
    )
    monkeypatch.chdir(tmp_path)

    settings = read_settings((Path("deep/beforehand.toml"), ()))

    base = config.parent
    assert settings.project.data == base / "data"
    assert settings.audit.golden == [base / "golden.jsonl"]
    assert settings.llm.model == str(base / "weights")
    assert settings.encoder.model == "all-minilm-l6-v2", "a name is no path"
    one = settings.collections["one"]
    assert list(map(reveal, one.documents)) == [f"{base}/docs/*.md", "/corpus", "s3://bucket/docs"]
    assert list(map(reveal, one.questions)) == [str(tmp_path / "questions.txt")]
    assert settings.prompt.template is not None
    assert settings.prompt.template.resolve() == tmp_path / "prompt.txt"


def test_telemetry_is_off_unless_the_user_turns_it_on(config: Path) -> None:
    for name in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "HF_HUB_OFFLINE"):
        os.environ.pop(name, None)
    os.environ["HF_HUB_OFFLINE"] = "0"

    prepare_environment(read_settings((config, ())))

    assert os.environ["DO_NOT_TRACK"] == "1"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.environ["HF_HUB_OFFLINE"] == "0"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "intranet, 10.0.0.1"}, "intranet,10.0.0.1,localhost,127.0.0.1,::1"),
        ({"no_proxy": "localhost"}, "localhost,127.0.0.1,::1"),
    ],
)
def test_local_services_are_reached_without_the_proxy(config: Path, before: dict[str, str], after: str) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        os.environ.pop(name, None)
    os.environ |= before

    prepare_environment(read_settings((config, ())))

    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == after


def test_a_no_proxy_of_everything_is_left_alone(config: Path) -> None:
    os.environ["no_proxy"] = "*"

    prepare_environment(read_settings((config, ())))

    assert os.environ["no_proxy"] == "*"
