"""`beforehand init` writes a configuration that works as it stands, and never over one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from beforehand.cli import cli
from beforehand.commands.init import configuration_text
from beforehand.configuration import read_settings


def init(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["init", *arguments])


def test_what_has_a_usual_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("questions.txt").write_text("How many days of leave do I have?\n")

    result = init()

    assert result.exit_code == 0, result.output
    collection = read_settings((Path("beforehand.toml"), ())).collections["default"]
    assert [each.get_secret_value() for each in collection.documents] == [str(tmp_path / "docs")]
    assert [each.get_secret_value() for each in collection.questions] == [str(tmp_path / "questions.txt")]
    assert collection.proposals == 0


def test_given_paths_are_written_as_seen_from_the_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("handbook").mkdir()

    result = init(
        "new", "--documents", "handbook", "--documents", "s3://bucket/policies/", "--endpoint", "http://llm/v1"
    )

    assert result.exit_code == 0, result.output
    settings = read_settings((Path("new/beforehand.toml"), ()))
    documents = [each.get_secret_value() for each in settings.collections["default"].documents]
    assert documents == [str(tmp_path / "handbook"), "s3://bucket/policies/"]
    assert settings.batch.generate_with == "endpoints"
    assert settings.collections["default"].proposals > 0, "without a list there is something to answer all the same"


def test_a_configuration_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "beforehand.toml").write_text("# mine\n")

    result = init(str(tmp_path), "--example")

    assert result.exit_code == 2
    assert "is there already" in result.output
    assert (tmp_path / "beforehand.toml").read_text() == "# mine\n"


def test_a_mistake_leaves_no_file(tmp_path: Path) -> None:
    result = init(str(tmp_path), "--endpoint", "my-server")

    assert result.exit_code == 2
    assert "must begin with http" in result.output
    assert not (tmp_path / "beforehand.toml").exists()


@given(path=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(lambda text: f"/x{text}"))
def test_any_path_survives_the_file(path: str) -> None:
    import tomllib

    assert tomllib.loads(configuration_text([path], [path], None, None))["collections"]["default"]["documents"] == [
        path
    ]
