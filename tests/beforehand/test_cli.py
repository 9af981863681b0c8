"""The command line: help everywhere, and for what a user got wrong one sentence and exit code 2."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from batch.generation.submissions import Submission, note
from beforehand import cli as front_door
from beforehand.configuration import read_settings
from online.http.authentication import Keys
from rag.llm.openai_batches import OpenAIBatches
from tests.fake_batches import FakeBatches
from tests.fake_llm import Behaviour, FakeLlm, served

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"
CONFIGURATION = f"""
[project]
data = "data"
models = {json.dumps(str(ROOT / "models"))}
[collections.default]
documents = [{json.dumps(str(CORPUS / "setup.md"))}]
questions = [{json.dumps(str(CORPUS / "questions.txt"))}]
[batch]
generate_with = "endpoints"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A configuration without a mistake, in a folder without a release."""
    path = tmp_path / "beforehand.toml"
    path.write_text(CONFIGURATION)
    return path


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command's settings of the environment outlive its test."""
    for name in [name for name in os.environ if name.startswith("BEFOREHAND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())


def run(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(front_door.cli, ["--config", str(project), *arguments])


def complaint(project: Path, *arguments: str) -> str:
    """Run a command that must fail as a user's mistake does, and return its sentence."""
    result = run(project, *arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("beforehand: ")
    assert "Traceback" not in result.output
    return lines[0].removeprefix("beforehand: ")


def commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*before, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))


@pytest.mark.parametrize("command", list(commands(front_door.cli)), ids=" ".join)
def test_every_command_explains_itself_without_a_configuration(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(front_door.cli, [*command, "--help"])

    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    assert re.search(r"\n\n  [A-Z][^.]*\.", result.output), "a sentence says what it does"


def test_the_commands_are_the_documented_ones() -> None:
    promised = {"run", "serve", "llm", "ask", "sql", "releases", "schedule", "report", "models", "withdraw", "review"}

    assert promised <= set(front_door.cli.list_commands(click.Context(front_door.cli)))


def test_a_missing_configuration_names_the_file_and_the_option(tmp_path: Path) -> None:
    said = complaint(tmp_path / "nowhere.toml", "sql")

    assert "nowhere.toml: no such file" in said
    assert "--config" in said


def test_a_broken_configuration_names_the_line(project: Path) -> None:
    project.write_text('[project]\ndata = "data\n')

    assert re.search(r"beforehand\.toml: not valid TOML: .*line 2", complaint(project, "run"))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("batch_sise = 4", "did you mean 'batch_size'"),
        ('runner = "flnk"', "did you mean 'flink'"),
        ("batch_size = 0", "batch_size"),
        ('batch_size = "many"', "many"),
    ],
)
def test_a_wrong_setting_is_quoted_with_a_suggestion(project: Path, more: str, expected: str) -> None:
    project.write_text(CONFIGURATION + more + "\n")

    assert expected in complaint(project, "run")


def test_an_unknown_section_is_refused(project: Path) -> None:
    project.write_text(CONFIGURATION + "[retreival]\npassages = 3\n")

    assert "did you mean 'retrieval'" in complaint(project, "releases", "list")


@pytest.mark.parametrize("flag", ["service.port", "port=3", "=", "retrieval.passages=none", "retrieval.passagse=3"])
def test_a_wrong_flag_is_refused(project: Path, flag: str) -> None:
    assert flag.partition("=")[0].rpartition(".")[2] in complaint(project, "--set", flag, "sql")


def test_a_wrong_environment_variable_is_named(project: Path) -> None:
    os.environ["BEFOREHAND_RETRIEVAL__PASSAGES"] = "0"

    assert "BEFOREHAND_RETRIEVAL__PASSAGES" in complaint(project, "sql")


def test_a_missing_language_model_is_named_before_anything_starts(project: Path) -> None:
    said = complaint(project, "--set", "batch.generate_with=engine", "--set", "llm.model=no-such-model", "run")

    assert "no-such-model" in said
    assert "models pull" in said


def test_a_missing_encoder_is_named(project: Path) -> None:
    assert "no-such-encoder" in complaint(project, "--set", "encoder.model=no-such-encoder", "run")


@pytest.mark.parametrize("kind", ["documents", "questions", "curated"])
def test_a_configured_file_that_is_missing_ends_the_run_before_it_begins(project: Path, kind: str) -> None:
    collection = {"documents": [str(CORPUS / "setup.md")], "questions": [], "curated": [], kind: ["gone/list.txt"]}
    lines = [f"{name} = {json.dumps(paths)}" for name, paths in collection.items()]
    project.write_text(
        CONFIGURATION.split("[collections", maxsplit=1)[0]
        + "[collections.help]\n"
        + "\n".join(lines)
        + '\n[batch]\ngenerate_with = "endpoints"\n'
    )

    said = complaint(project, "run")

    assert said.startswith(f"[collections.help] {kind} names ")
    assert "gone/list.txt: there is no such file" in said
    assert not (project.parent / "data" / "runs").exists()


def test_without_a_collection_the_message_says_what_to_write(project: Path) -> None:
    project.write_text("[project]\ndata = 'data'\n")

    assert "[collections.NAME]" in complaint(project, "run")


def test_an_address_without_a_file_system_is_refused(project: Path) -> None:
    project.write_text(CONFIGURATION.replace(json.dumps(str(CORPUS / "setup.md")), '"nowhere://bucket/x.md"'))

    assert "nowhere://bucket/x.md" in complaint(project, "run")


def test_an_object_store_without_its_extra_is_reported_in_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.sources.remote_files._installed", lambda _: False)
    project.write_text(CONFIGURATION.replace(json.dumps(str(CORPUS / "setup.md")), '"s3://bucket/policies/*.md"'))

    said = complaint(project, "run")

    assert said.startswith("[collections.default] s3://bucket/policies/*.md: ")
    assert said.endswith("install the extra `s3`")


def test_a_data_folder_that_beam_would_read_as_a_pattern_is_refused(project: Path) -> None:
    assert "[project] data = " in complaint(project, "--set", "project.data=data [v2]", "run")


@pytest.mark.parametrize(
    "command",
    [("sql",), ("sql", "SELECT 1"), ("releases", "show"), ("releases", "rollback"), ("report",)],
    ids=" ".join,
)
def test_a_command_that_needs_a_release_says_how_to_build_one(project: Path, command: tuple[str, ...]) -> None:
    assert "`beforehand run`" in complaint(project, *command)


def test_for_an_unknown_stage_the_message_lists_the_stages(project: Path) -> None:
    (project.parent / "data" / "runs" / "20261124T000000-aaaa").mkdir(parents=True)

    assert "prepare, index, enrich, propose, weigh, join, anticipate" in complaint(project, "run", "--stage", "polish")


def test_the_first_stage_begins_a_run_in_a_new_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)

    first = run(project, "run", "--stage", "prepare")
    again = run(project, "run", "--stage", "prepare")

    assert (first.exit_code, again.exit_code) == (0, 0), (first.output, first.exception)
    [begun] = (project.parent / "data" / "runs").iterdir()
    assert list(begun.glob("prepare/chunks/*.parquet"))
    assert "it needs what the stage index writes" in complaint(project, "run", "--stage", "retrieve")


def test_a_stage_of_a_missing_run_is_refused(project: Path) -> None:
    assert "holds no run yet" in complaint(project, "run", "--stage", "cite")
    assert "no such run" in complaint(project, "run", "--stage", "cite", "--run", "20200101T000000-aaaa")


def test_an_unknown_format_of_results_is_refused(project: Path) -> None:
    assert run(project, "sql", "--format", "xlsx").exit_code == 2


def test_a_withdrawal_from_an_unknown_collection_is_refused(project: Path) -> None:
    assert "default" in complaint(project, "withdraw", "setup.md", "--collection", "other")


def test_without_a_service_the_message_says_how_to_start_it(project: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"

    said = complaint(project, "ask", "Why?", "--url", address)

    assert address in said
    assert "beforehand serve" in said


def test_a_port_in_use_is_reported_before_the_model_is_loaded(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        said = complaint(project, "llm", "--port", str(port))

    assert str(port) in said


@pytest.mark.parametrize(
    ("setting", "at_fault"), [("service.workers=1", "port = "), ("service.workers=2", "workers = 2")]
)
def test_an_in_process_service_reports_mistakes_before_it_loads_a_model(
    project: Path, setting: str, at_fault: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        said = complaint(project, "--set", "llm.mode=in_process", "--set", setting, "serve", "--port", port)

    assert said.startswith(f"[service] {at_fault}")


@pytest.mark.parametrize(
    "command",
    [
        ("--set", "batch.generate_with=engine", "run"),
        ("--set", "llm.mode=in_process", "serve", "--port", "0"),
        ("llm", "--port", "0"),
    ],
    ids=lambda command: command[-1],
)
@pytest.mark.usefixtures("encoder_folder")
def test_a_model_that_is_no_language_model_is_refused(project: Path, command: tuple[str, ...]) -> None:
    said = complaint(project, "--set", "llm.model=all-minilm-l6-v2", *command)

    assert said == "[llm] model: all-minilm-l6-v2 writes no text, its kind is encoder; name another"


def test_an_address_of_the_batch_run_without_http_is_refused(project: Path) -> None:
    said = complaint(project, "--set", 'batch.endpoints=["http://gpu-1:8001/v1", "gpu-2:8001/v1"]', "run")

    assert "'gpu-2:8001/v1': it must begin with http:// or https://" in said


def test_a_server_without_a_batch_api_or_with_another_key_is_refused_before_anything_is_loaded(project: Path) -> None:
    batches, chats = FakeBatches(), FakeLlm()
    batches.behaviour.key = "the right key"
    with served(batches.app) as strict, served(chats.app) as plain:
        said = [
            complaint(
                project, "--set", "batch.generate_with=batch_api", "--set", f'batch.endpoints=["{url}/v1"]', "run"
            )
            for url in (strict, plain)
        ]

    assert "answered 401: Incorrect API key provided; check [llm] api_key" in said[0]
    assert (
        "answered 404: Not Found; it has no Batch API (/v1/files and /v1/batches); check [batch] endpoints" in said[1]
    )
    assert not (project.parent / "data").exists()


def test_batches_of_two_servers_are_refused(project: Path) -> None:
    two = 'batch.endpoints=["http://gpu-1:8001/v1", "http://gpu-2:8001/v1"]'

    said = complaint(project, "--set", "batch.generate_with=batch_api", "--set", two, "run")

    assert said.startswith('[batch] endpoints names 2 servers, but generate_with = "batch_api" has the batches of one')


def test_batches_are_listed_and_cancelled(project: Path) -> None:
    server = FakeBatches()
    server.behaviour.looks = 9
    with served(server.app) as url:
        client = OpenAIBatches(f"{url}/v1", None, 5.0)

        async def submitted() -> str:
            async with aclosing(client):
                path = project.parent / "requests.jsonl"
                path.write_text(json.dumps({"custom_id": "f1", "body": {}}) + "\n")
                return (await client.create(await client.upload(path), "mine")).id

        batch = asyncio.run(submitted())
        waiting = Submission.of("run-1", "batch_api", "m", ["f1"])
        note(str(project.parent / "data"), replace(waiting, address=client.address, batch=batch))
        at = ("--set", f'batch.endpoints=["{url}/v1"]', "generate")

        listed, cancelled = run(project, *at, "status").output, run(project, *at, "cancel").output

    assert f"1 prompts  batch_0 at {url}/v1  in_progress, 0 done" in listed
    assert cancelled == "batch_0: cancelling\n"


def test_nothing_to_import_is_explained(project: Path) -> None:
    results = project.parent / "results.jsonl"
    results.write_text("{}\n")

    assert complaint(project, "generate", "import", str(results)).startswith("no prompts wait for answers")


@pytest.mark.parametrize(("question", "sentence"), [("", "is empty"), ("caf\udce9?", "is not UTF-8")])
def test_an_empty_or_undecodable_question_is_explained(project: Path, question: str, sentence: str) -> None:
    assert complaint(project, "ask", question).startswith(f"the question {sentence}; ")


def test_a_mistake_ends_the_process_with_one_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "beforehand", "--config", str(tmp_path / "none.toml"), "run"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.strip().splitlines()) == 1
    assert ended.stderr.startswith("beforehand: ")


def test_a_closed_terminal_stops_a_service_as_sigterm_does(project: Path) -> None:
    default = "import signal, beforehand.cli; signal.signal(signal.SIGHUP, signal.SIG_DFL); beforehand.cli.main()"
    command = [sys.executable, "-c", default, "--config", str(project), "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        url = service.stderr.readline().split()[-1]
        assert httpx.get(f"{url}/healthz", timeout=60, trust_env=False).is_success

        service.send_signal(signal.SIGHUP)

        service.wait(60)
    assert service.returncode == 0


def test_a_command_under_nohup_outlives_its_terminal() -> None:
    code = """
import signal, beforehand.cli
signal.signal(signal.SIGHUP, signal.SIG_IGN)
beforehand.cli.cli = lambda **_: print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
beforehand.cli.main()
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout

    assert said == "True\n"


def test_a_new_key_is_shown_once_and_works_with_the_printed_lines(project: Path) -> None:
    result = run(
        project, "key", "help desk", "--scope", "ask", "--collection", "default", "--requests-per-minute", "60"
    )
    project.write_text(CONFIGURATION + result.stdout)
    settings = read_settings((project, ()))

    key = result.stderr.split()[-1]
    caller = Keys(settings.service.keys, settings.collections).caller(
        {"headers_by_name": {b"authorization": f"Bearer {key}".encode()}}
    )

    assert key not in result.stdout
    assert (caller.key_id, caller.scopes, caller.collections) == ("help desk", {"ask"}, ("default",))
    assert caller.bucket is not None
    assert caller.bucket.capacity == 60


def test_the_command_line_loads_no_heavy_packages() -> None:
    heavy = "('torch', 'vllm', 'apache_beam', 'prefect', 'transformers', 'fastapi', 'duckdb', 'faiss')"
    code = f"import sys, beforehand; print([name for name in {heavy} if name in sys.modules])"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout

    assert said.strip() == "[]"


def test_a_server_that_rejects_the_key_ends_a_run_before_anything_is_loaded(project: Path) -> None:
    chats = FakeLlm(Behaviour(models_fail_with=401, error={"message": "no such key"}))

    with served(chats.app) as url:
        said = complaint(project, "--set", f'batch.endpoints=["{url}/v1"]', "run")

    assert said == f"the language model at {url}/v1 answered 401: no such key; check [llm] api_key"
    assert chats.requests == []
    assert not (project.parent / "data").exists()


def test_an_error_that_ends_a_run_is_left_to_the_sentence_of_its_command() -> None:
    program = (
        "import logging; from beforehand.cli import show_errors; show_errors();"
        "logging.getLogger('prefect.flow_runs').error('a traceback');"
        "logging.getLogger('beam').error('a worker is gone')"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr

    assert said == "ERROR:beam:a worker is gone\n"
