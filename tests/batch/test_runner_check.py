"""A runner that can't carry out a run is refused in one sentence, before anything is read."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from batch.runner_check import Versions, _Meet, require_runner
from batch.settings import BatchSettings
from rag.errors import BeforehandError, RunnerError

POOL = ["--environment_type=EXTERNAL", "--environment_config=localhost:50000"]


def settings(runner: str, *options: str) -> BatchSettings:
    return BatchSettings.model_validate({"runner": runner, "runner_options": list(options)})


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and closes them: something else than a job server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"localhost:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("runner", "options", "sentence"),
    [
        ("portable", POOL, "no job server is named; add --job_endpoint=HOST:PORT"),
        ("portable", ["--job_endpoint=localhost:1"], "Beam's own containers have no Beforehand"),
        ("portable", ["--job_endpoint=localhost:1", "--environment_type=EXTERNAL"], "where its pool of workers is"),
        ("portable", ["--job_endpoint=here", *POOL], "--job_endpoint=here: write HOST:PORT"),
        ("flink", POOL, "neither a job server nor a cluster is named; add --job_endpoint=HOST:PORT or --flink_master"),
        ("flink", ["--flink_master=cluster:8081", *POOL], "--flink_job_server_jar=FILE"),
        ("flink", ["--flink_master=cluster:8081", "--flink_job_server_jar=no.jar", *POOL], "there is no such file"),
        ("flink", ["--job_endpoint=localhost:1", *POOL], "no job server answers at localhost:1 (connection refused)"),
        ("spark", POOL, "neither a job server nor a cluster is named; add --job_endpoint=HOST:PORT or --spark_master"),
        ("dataflow", [], "it needs Beam's package for Google Cloud"),
    ],
)
def test_what_a_runner_lacks_is_named(runner: str, options: list[str], sentence: str) -> None:
    with pytest.raises(BeforehandError) as refused:
        require_runner(settings(runner, *options))

    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_something_else_at_the_job_server_s_address_is_noticed(silent_server: str) -> None:
    with pytest.raises(RunnerError, match="is no Beam job server"):
        require_runner(settings("flink", f"--job_endpoint={silent_server}", "--environment_type=LOOPBACK"))


def test_a_worker_of_another_version_says_what_both_have() -> None:
    meet = _Meet(Versions("3.9", "2.40.0", "0.0.1"), ())

    with pytest.raises(
        RunnerError, match=r"the workers have Python .* has Python 3.9, Beam 2.40.0 and Beforehand 0.0.1"
    ):
        list(meet.process(("nowhere", b"")))


def test_a_worker_that_does_not_see_the_data_says_so(tmp_path) -> None:  # type: ignore[no-untyped-def]
    meet = _Meet(Versions.own(), ())

    with pytest.raises(RunnerError, match=rf"the workers don't see {tmp_path}; keep the project's data in an object"):
        list(meet.process((f"{tmp_path}/runs/r1/handshake/probe", b"r1")))


def test_addresses_of_servers_are_no_secrets_but_keys_are() -> None:
    from rag.credentials import secret_values

    given = settings("flink", "--job_endpoint=jobs.example:8099", "--s3_secret_access_key=a-secret-key")

    assert "jobs.example:8099" not in secret_values(given)
    assert "a-secret-key" in secret_values(given)
    assert json.dumps("a-secret-key")[1:-1] in secret_values(given)
