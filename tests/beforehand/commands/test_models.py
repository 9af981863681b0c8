"""`beforehand models` on names of the configuration, and what a name that can't be gets before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from batch.models.model_folder import locate
from beforehand.cli import cli
from beforehand.configuration import Settings, read_settings
from beforehand.run_plan import language_model, live_identity, llm_source, served_model
from rag.errors import ModelError

SECTIONS = """
[models.answers]
source = "./whole"
[models.tuned]
source = "./adapter"
base = "answers"
[llm]
model = "tuned"
[collections.default]
documents = ["docs"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "whole/config.json": "{}",
        "whole/model.safetensors": "weights",
        "adapter/adapter_config.json": json.dumps({"peft_type": "LORA", "r": 8}),
        "adapter/adapter_model.safetensors": "difference",
        "models/spare/config.json": "{}",
        "models/spare/model.safetensors": "weights",
        "beforehand.toml": SECTIONS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def settings_of(project: Path, llm_model: str, **flags: str) -> Settings:
    given = {"llm.model": llm_model, **flags}
    return read_settings((project / "beforehand.toml", tuple(f"{key}={value}" for key, value in given.items())))


def say(project: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["--config", str(project / "beforehand.toml"), *arguments])
    return result.exit_code, result.output


def test_the_list_has_named_models_used_ones_and_what_else_is_in_the_folder(project: Path) -> None:
    code, said = say(project, "models", "list")

    rows = {line.split()[0]: line for line in said.splitlines()}
    assert code == 0
    assert "language model" in rows["answers"] and "present, not verified" in rows["answers"]
    assert "adapter of answers" in rows["tuned"]
    assert rows["all-minilm-l6-v2"].endswith("missing")
    assert "language model" in rows["spare"]


def test_a_pull_prints_the_checksum_that_pins_a_model(project: Path) -> None:
    _, said = say(project, "models", "pull", "tuned")
    checksum = said.rsplit(" ", 1)[1].strip()
    code, again = say(project, "--set", f"models.tuned.checksum={checksum}", "models", "verify", "tuned")
    (project / "adapter" / "adapter_model.safetensors").write_text("other")
    wrong, fault = say(project, "models", "verify", "tuned", "answers")

    assert (code, again) == (0, f"tuned: every file is as it was, checksum {checksum}\n")
    assert wrong == 2
    assert "adapter_model.safetensors has changed" in fault
    assert "answers: every file is as it was" in fault


def test_what_the_configuration_uses_is_removed_only_by_force(project: Path) -> None:
    used = ["--set", "llm.model=spare", "models", "remove", "spare"]
    code, said = say(project, *used)

    assert (code, said) == (
        2,
        "beforehand: model 'spare' is used by [llm] model; --force removes it all the same\n",
    )
    assert (project / "models" / "spare").is_dir()
    assert say(project, *used, "--force")[0] == 0
    assert not (project / "models" / "spare").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["models.tuned.base=tuned"], "[models.tuned] base = 'tuned': that is itself; name the whole model below"),
        (["models.tuned.quantisation=fp8"], "[models.tuned] quantisation: an adapter is loaded as its base is"),
        (["models.tuned.kind=encoder"], "[models.tuned] kind = 'encoder': adapters are of language models only"),
        (["models.a b.source=x"], "[models.a b]: a name has letters, digits, '.', '-' and '_' only"),
        (["models.tuned.checksum=12"], "[models.tuned] checksum = '12'"),
        (["models.other.base=answers"], "[models.other] source: missing, and it has no default"),
        (["encoder.model=answers"], "[encoder] model: answers is no encoder, its kind is language model"),
    ],
)
def test_a_wrong_name_is_one_sentence_before_a_build_loads_anything(
    project: Path, flags: list[str], sentence: str
) -> None:
    arguments = [part for flag in flags for part in ("--set", flag)]
    command = ["check"] if flags[0].startswith("encoder") else ["models", "list"]
    code, said = say(project, *arguments, *command)

    assert code == 2
    assert sentence in said
    assert said.count("\n") == 1


def test_a_project_without_a_language_model_needs_none_and_wants_none(project: Path) -> None:
    without = ["--set", "llm.mode=none"]

    code, listed = say(project, *without, "models", "list")
    source = llm_source(settings_of(project, "never-pulled", **{"llm.mode": "none"}))

    assert code == 0
    assert "[llm]" not in listed and "missing" not in listed.replace("all-minilm-l6-v2", "").split("\n")[0]
    assert (source.kind, source.folder, source.endpoints) == ("none", None, ())
    assert say(project, *without, "llm") == (
        2, 'beforehand: [llm] mode = "none": there is no language model to serve; remove it to have one\n'
    )  # fmt: skip


def test_a_missing_model_that_curated_answers_do_not_need_is_said_to_be_needless(project: Path) -> None:
    curated = {"collections.default.curated": '["faq.csv"]', "collections.default.documents": "[]"}

    with pytest.raises(ModelError, match="run `beforehand models pull owner/gone`") as usual:
        language_model(settings_of(project, "owner/gone"))
    with pytest.raises(ModelError, match=r"models pull owner/gone`, or set \[llm\] mode = \"none\": every answer here"):
        language_model(settings_of(project, "owner/gone", **curated))

    assert "curated" not in str(usual.value)


@pytest.mark.parametrize("name", ["answers", "tuned"])
def test_a_pinned_model_has_one_identity_in_the_engine_and_at_an_endpoint(project: Path, name: str) -> None:
    loaded = settings_of(project, llm_model=name)
    found = language_model(loaded)
    endpoint = {f"models.{name}.checksum": found.checksum, "batch.generate_with": "endpoints"}
    if name == "tuned":
        endpoint["models.answers.checksum"] = locate(str(project / "whole"), project / "models").checksum
    served = settings_of(project, llm_model=name, **endpoint)

    assert llm_source(loaded).model_id == llm_source(served).model_id == str(live_identity(served)) == found.identity
    assert llm_source(served).name == {"answers": "whole", "tuned": "tuned"}[name]


def test_the_service_of_a_model_offers_every_adapter_on_it(project: Path) -> None:
    for name in ("answers", "tuned", "./whole"):
        served = served_model(settings_of(project, llm_model=name))

        assert (served.name, served.adapter) == ("whole", None)
        assert [each.name for each in served.adapters] == ["tuned"]
