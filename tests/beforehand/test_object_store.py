"""Commands on a project whose data is in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from beforehand.cli import cli
from beforehand.configuration import read_settings
from tests.object_store import Machines, build
from warehouse.log_line import read
from warehouse.objects.shared_log import follow_log
from warehouse.releases.build import publish


class Desk:
    """A person's machine: a configuration and a cache of its own."""

    def __init__(self, folder: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = folder / "beforehand.toml"
        self.config.write_text(
            f'[project]\ndata = "{machines.address}"\nstore_endpoint = "{machines.server.url}"\n'
            "[collections.main]\ndocuments = []\n"
        )
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["--config", str(self.config), *arguments])

    @property
    def data(self) -> Path:
        return read_settings((self.config, ())).project.data


@pytest.fixture
def desk(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, machines, monkeypatch)


def test_releases_are_listed_fetched_when_they_are_named_and_rolled_back(desk: Desk, machines: Machines):
    batch = machines.new("batch")
    first, second = publish(build(batch)), publish(build(batch))

    listed = desk.run("releases", "list").output.splitlines()
    assert [line[:23].strip("* ") for line in listed] == [first.release_id, second.release_id]
    assert not (desk.data / "releases" / first.release_id).exists()

    assert desk.run("releases", "verify", first.release_id).exit_code == 0
    assert desk.run("releases", "rollback").output == f"current release: {first.release_id}\n"
    pointer = batch.store.read("releases/CURRENT")
    assert pointer is not None and pointer.data.decode().strip() == first.release_id


def test_what_a_command_records_reaches_the_other_machines(desk: Desk, machines: Machines):
    batch = machines.new("batch")
    for _ in range(2):
        publish(build(batch))
    follow_log(batch)

    assert desk.run("releases", "rollback").exit_code == 0

    follow_log(batch)
    assert [each["action"] for each in read(batch.folder / "publications.jsonl")] == ["publish", "publish", "rollback"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("s3://no-such-bucket/x", "there is no such bucket; correct the address."),
        ("ftp://host/x", "data is kept in a local folder, or at s3:// or gs://, not at ftp://"),
        ("s3://key:secret-word@bucket/x", "credentials belong in the environment"),
    ],
)
def test_a_store_that_can_t_be_used_is_one_sentence(desk: Desk, data: str, sentence: str):
    result = desk.run("--set", f"project.data={data}", "releases", "list")

    assert result.exit_code == 2
    assert sentence in result.output
    assert "secret-word" not in result.output
    assert len(result.output.splitlines()) == 1


def test_a_runner_without_a_job_server_is_refused_with_a_store_as_with_a_folder(desk: Desk):
    result = desk.run("--set", "batch.runner=flink", "run")

    assert result.exit_code == 2
    assert "neither a job server nor a cluster is named" in result.output
    assert len(result.output.splitlines()) == 1


def test_a_folder_with_data_of_its_own_is_no_copy(desk: Desk, machines: Machines, tmp_path: Path):
    (tmp_path / "own" / "releases").mkdir(parents=True)

    result = desk.run("--set", "project.data=own", "--set", f"project.store={machines.address}", "releases", "list")

    assert result.exit_code == 2
    assert f"holds data of its own and is no copy of {machines.address}" in result.output
