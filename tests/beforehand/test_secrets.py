"""A secret of the configuration is in no error and in nothing recorded; the places are found in the types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Literal, get_args, get_origin

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from batch.runners.options import pipeline_options
from batch.settings import BatchSettings
from beforehand import cli as front_door
from beforehand.configuration import Settings, as_environment, read_settings
from beforehand.run_plan import compose_plan
from beforehand.settings_loader import load
from rag.credentials import SecretOption, hide, secret_values
from rag.errors import ConfigurationError
from rag.settings import RoomSettings
from tests.secret_places import CANARY, HASH, Place, secret_places, traces
from warehouse.settings import HistorySettings

PLACES = list(secret_places())


def values(place: Place, value: object) -> dict[str, object]:
    """Return a configuration with a value in one place, as nested mappings."""
    more: dict[str, object] = {"documents": []} if place.keys[:-1] == ("collections", "default") else {}
    found: object = value
    for depth, key in reversed(list(enumerate(place.keys))):
        found = {**(more if depth == len(place.keys) - 1 else {}), key: found}
    assert isinstance(found, dict)
    return found


def secret_in(place: Place) -> object:
    return [place.secret] if place.many else place.secret


def quoted(text: str) -> list[str]:
    return [secret for secret in (CANARY, HASH) if secret in text]


def test_the_places_that_can_hold_a_secret_are_these() -> None:
    assert {str(place) for place in PLACES} >= {
        "llm.api_key", "llm.endpoint", "batch.endpoints", "batch.runner_options", "service.keys.desk.hash",
        "collections.default.documents", "collections.default.questions", "collections.default.curated",
    }  # fmt: skip


# the address of a store may hold no credentials
@pytest.mark.parametrize("place", [place for place in PLACES if place.keys != ("project", "store")], ids=str)
def test_a_secret_is_read_and_not_shown(place: Place) -> None:
    settings = load(Settings, values(place, secret_in(place)), "x")

    assert quoted(repr(settings) + str(settings) + settings.model_dump_json() + repr(settings.model_dump())) == []
    known = secret_values(settings)
    assert quoted(hide(f"it said {place.secret}", known)) == []


@pytest.mark.parametrize("wrong", ["number", "text", "inside", "above"])
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_mistake_beside_a_secret_does_not_quote_it(place: Place, wrong: str) -> None:
    mistakes: dict[str, object] = {
        "number": {place.secret: 7},
        "text": f"{place.secret} " if place.keys[-1] == "hash" else [[place.secret]],
        "inside": [7, place.secret] if place.many else {"x": place.secret},
    }
    section = Place(place.keys[:-1], place.kind, many=False)
    value = values(section, place.secret) if wrong == "above" else values(place, mistakes[wrong])

    with pytest.raises(ConfigurationError) as raised:
        load(Settings, value, "x")

    assert quoted(str(raised.value)) == []
    assert place.keys[-1 if wrong != "above" else -2] in str(raised.value)


@pytest.mark.parametrize("flag", [f"llm_api_key={CANARY}", f"llm.api_kee={CANARY}", f"llm={CANARY}"])
def test_a_wrong_flag_is_told_by_its_key(tmp_path: Path, flag: str) -> None:
    (tmp_path / "beforehand.toml").write_text("")

    with pytest.raises(ConfigurationError, match="llm") as raised:
        read_settings((tmp_path / "beforehand.toml", (flag,)))

    assert quoted(str(raised.value)) == []


def sections(model: type[BaseModel] = Settings) -> Iterator[type[RoomSettings]]:
    for field in model.model_fields.values():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, RoomSettings):
                yield inner
                yield from sections(inner)


def test_what_is_recorded_of_settings_is_numbers_and_words_of_ours() -> None:
    checked = {"language", "reranker"}  # a stemmer's name, and a model's

    for section in sections():
        for name in section.RECORDED - checked:
            annotation = section.model_fields[name].annotation
            plain = set(get_args(annotation) or (annotation,)) - {NoneType}
            assert get_origin(annotation) is Literal or plain <= {int, float, bool}, (section, name)


def test_a_flow_that_compacts_gets_all_settings_of_the_history() -> None:
    assert set(HistorySettings.model_fields) == HistorySettings.RECORDED


@pytest.mark.parametrize("option", [f"--direct_num_workers={CANARY}", f"--experiments_json={CANARY}", f"{CANARY}"])
def test_an_option_that_beam_refuses_or_does_not_know_is_not_quoted(
    option: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    said = ""
    try:
        pipeline_options(BatchSettings(runner_options=[SecretOption(option)])).get_all_options()
    except ConfigurationError as error:
        said = str(error)
        assert "Beam refuses the value of --direct_num_workers" in said

    assert bool(said) == option.startswith("--direct")
    assert quoted(said + caplog.text + "".join(capfd.readouterr())) == []


@pytest.mark.parametrize("kind", ["documents", "questions", "curated"])
@pytest.mark.parametrize("address", ["https://{}:{}@host/a.md?sig={}", "s3://{}:{}@bucket/a.md?sig={}", "gone#x={}"])
@pytest.mark.usefixtures("encoder_folder")
def test_an_address_that_leads_nowhere_is_told_without_its_credentials(
    tmp_path: Path, models_folder: Path, kind: str, address: str
) -> None:
    from batch.sources.source_files import refuse_missing

    entry = address.replace("{}", CANARY)
    listed = {"documents": [], kind: [entry]}
    lines = [f"{name} = {json.dumps(entries)}" for name, entries in listed.items()]
    config = tmp_path / "beforehand.toml"
    config.write_text(
        f'[project]\nmodels = {json.dumps(str(models_folder))}\n[batch]\ngenerate_with = "endpoints"\n'
        f"[collections.c]\n{chr(10).join(lines)}\n"
    )

    with pytest.raises(ConfigurationError, match=r"\[collections\.c\]") as raised:
        refuse_missing(compose_plan(read_settings((config, ())), "r"))

    assert quoted(str(raised.value)) == []
    assert raised.value.__cause__ is None


def test_a_command_that_fails_unforeseen_tells_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "beforehand.toml"
    config.write_text(f'[llm]\napi_key = "{CANARY}-key"\n')

    def fail(_: Path) -> None:
        raise OSError(f"Authorization: Bearer {CANARY}-key")

    monkeypatch.setattr("batch.models.model_store.list_models", fail)
    result = CliRunner().invoke(front_door.cli, ["--config", str(config), "models", "list"])

    assert result.exit_code == 2
    assert result.stderr == "beforehand: OSError: Authorization: Bearer **********\n"


def test_flags_reach_child_processes_through_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beforehand.toml").write_text("[service]\nport = 1\n")
    flags = ("service.port=8100", f"llm.api_key={CANARY}", 'audit.refusals=["no"]')
    for name, value in as_environment(flags).items():
        monkeypatch.setenv(name, value)

    assert read_settings((tmp_path / "beforehand.toml", ())) == read_settings((tmp_path / "beforehand.toml", flags))


def test_the_search_for_traces_finds_them_in_files_of_every_kind(tmp_path: Path) -> None:
    import sqlite3

    import duckdb

    row = f"SELECT '{CANARY}' AS a"
    with duckdb.connect(str(tmp_path / "a.duckdb")) as connection:
        connection.execute(f"CREATE TABLE t AS {row}")
        connection.execute(f"COPY ({row}) TO '{tmp_path}/b.parquet' (COMPRESSION zstd)")
    made = sqlite3.connect(tmp_path / "c.db")
    made.execute(f"CREATE TABLE t AS {row}")
    made.commit()
    made.close()
    (tmp_path / "d.jsonl").write_text(f'{{"a": "{CANARY}"}}')
    (tmp_path / "e").write_text("nothing")

    assert [each.partition(":")[0] for each in traces(tmp_path, CANARY)] == ["a.duckdb", "b.parquet", "c.db", "d.jsonl"]
