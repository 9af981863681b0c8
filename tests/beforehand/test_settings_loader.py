"""The message for each mistake in the configuration, and which value wins."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from beforehand.settings_loader import from_environment, load, merge, read_toml
from rag.collection_settings import CollectionSettings
from rag.credentials import SecretAddress
from rag.errors import ConfigurationError
from rag.settings import LlmSettings, RetrievalSettings, RoomSettings, SamplingSettings

MISTAKES = [json.loads(line) for line in (Path(__file__).parent / "cases/configuration.jsonl").read_text().splitlines()]


class Everything(RoomSettings):
    """A composition as the front door makes one."""

    llm: LlmSettings = LlmSettings()
    sampling: SamplingSettings = SamplingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    collections: dict[str, CollectionSettings] = Field(default_factory=dict)


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case["why"])
def test_a_mistake_is_reported_in_one_sentence_with_key_and_value(tmp_path, case):
    path = tmp_path / "beforehand.toml"
    path.write_text(case["toml"], encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        load(Everything, read_toml(path), "beforehand.toml")

    assert str(caught.value) == f"beforehand.toml: {case['says']}"


def test_an_unknown_language_gets_a_suggestion():
    with pytest.raises(ConfigurationError, match=r"language = 'englsh'.*did you mean 'english'\?"):
        load(Everything, {"retrieval": {"language": "englsh"}}, "x")


def test_a_long_value_is_shortened():
    with pytest.raises(ConfigurationError) as caught:
        load(Everything, {"retrieval": {"passages": "x" * 5000}}, "x")

    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("value", [12345, ["sk-very-secret"], {"sk-very-secret": 1}])
def test_a_secret_of_the_wrong_type_is_not_printed(value):
    with pytest.raises(ConfigurationError) as caught:
        load(Everything, {"llm": {"api_key": value}}, "x")

    assert "api_key" in str(caught.value)
    assert "12345" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_repr_of_settings_hides_secrets():
    settings = load(Everything, {"llm": {"api_key": "sk-very-secret"}}, "x")

    assert "sk-very-secret" not in repr(settings)
    assert settings.llm.api_key.get_secret_value() == "sk-very-secret"


def test_zero_is_a_value():
    settings = load(
        Everything,
        {
            "retrieval": {"lexical_weight": 0},
            "sampling": {"temperature": 0, "seed": 0},
            "collections": {"a": {"documents": [], "tolerated_error": 0}},
        },
        "x",
    )

    assert settings.retrieval.lexical_weight == 0
    assert settings.sampling.seed == 0
    assert settings.collections["a"].tolerated_error == 0


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        LlmSettings().model = "other"


def test_a_file_that_is_missing_says_how_to_name_one(tmp_path):
    with pytest.raises(ConfigurationError, match="no such file; name one with --config"):
        read_toml(tmp_path / "beforehand.toml")


def test_a_broken_file_names_the_line(tmp_path):
    path = tmp_path / "beforehand.toml"
    path.write_text("[llm]\nmodel = \n")

    with pytest.raises(ConfigurationError, match=r"beforehand.toml: not valid TOML: .*line 2"):
        read_toml(path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "beforehand.toml"
    path.write_bytes(b'[llm]\nmodel = "\xff"\n')

    with pytest.raises(ConfigurationError, match="not valid TOML"):
        read_toml(path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_toml(tmp_path)


def test_a_byte_order_mark_is_accepted(tmp_path):
    path = tmp_path / "beforehand.toml"
    path.write_bytes(b'\xef\xbb\xbf[llm]\nmodel = "a"\n')

    assert read_toml(path) == {"llm": {"model": "a"}}


def test_the_environment_overrides_the_file_key_by_key():
    file = {"llm": {"model": "a", "timeout_seconds": 5}}
    environment = from_environment(
        {"BEFOREHAND_LLM__TIMEOUT_SECONDS": "0.5", "OTHER_LLM__MODEL": "b", "BEFOREHAND_X": "y"}
    )

    settings = load(Everything, merge(file, environment), "x", environment)

    assert (settings.llm.model, settings.llm.timeout_seconds) == ("a", 0.5)


def test_the_environment_reaches_collections_lists_and_null():
    environment = from_environment(
        {
            "BEFOREHAND_COLLECTIONS__DOCS__DOCUMENTS": '["a", "b"]',
            "BEFOREHAND_COLLECTIONS__DOCS__TOLERATED_ERROR": "0",
            "BEFOREHAND_SAMPLING__SEED": "null",
        }
    )

    settings = load(Everything, environment, "the environment", environment)

    assert settings.collections["docs"].documents == [SecretAddress("a"), SecretAddress("b")]
    assert settings.collections["docs"].tolerated_error == 0
    assert settings.sampling.seed is None


@pytest.mark.parametrize("digits", ["1234567", "12e4567", "0123", "1.0", "true", '"quoted"'])
def test_a_key_or_revision_that_looks_like_a_number_stays_text(digits):
    environment = from_environment({"BEFOREHAND_LLM__API_KEY": digits, "BEFOREHAND_LLM__REVISION": digits})

    settings = load(Everything, environment, "x")

    assert settings.llm.api_key.get_secret_value() == digits
    assert settings.llm.revision == digits


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BEFOREHAND_LLM__MODE", "in_proces", r"^BEFOREHAND_LLM__MODE: \[llm\] mode = 'in_proces'.*did you mean"),
        ("BEFOREHAND_RETRIEVAL__PASAGES", "1", r"^BEFOREHAND_RETRIEVAL__PASAGES: .*did you mean 'passages'"),
        ("BEFOREHAND_RETREIVAL__PASSAGES", "1", r"^BEFOREHAND_RETREIVAL__\.\.\.: .*did you mean 'retrieval'"),
        ("BEFOREHAND_RETRIEVAL__PASSAGES", "[1", r"^BEFOREHAND_RETRIEVAL__PASSAGES: .* = '\[1'"),
        ("BEFOREHAND_COLLECTIONS__A__DOCUMENTS", "[1]", r"^BEFOREHAND_COLLECTIONS__A__DOCUMENTS: .*documents\[0\] = 1"),
    ],
)
def test_a_mistake_in_the_environment_names_its_variable(name, value, says):
    environment = from_environment({name: value})

    with pytest.raises(ConfigurationError, match=says):
        load(Everything, merge({"llm": {"model": "a"}}, environment), "beforehand.toml", environment)


def test_a_mistake_in_the_file_is_not_blamed_on_the_environment():
    environment = from_environment({"BEFOREHAND_LLM__MODEL": "a"})

    with pytest.raises(ConfigurationError, match=r"^beforehand.toml: \[llm\] mode"):
        load(Everything, merge({"llm": {"mode": "x"}}, environment), "beforehand.toml", environment)


def test_variables_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigurationError, match="BEFOREHAND_LLM__MODEL__NAME: 'model' is set as a whole"):
        from_environment({"BEFOREHAND_LLM__MODEL": "a", "BEFOREHAND_LLM__MODEL__NAME": "b"})


LEAVES = st.integers() | st.none() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
TABLES = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | LEAVES, max_size=3),
    max_leaves=8,
)


@given(TABLES, TABLES, TABLES)
def test_merging_is_associative_and_leaves_its_layers_unchanged(one, two, three):
    before = json.dumps([one, two, three])

    assert merge(one, two, three) == merge(merge(one, two), three)
    assert merge(one, {}) == merge({}, one) == one
    assert json.dumps([one, two, three]) == before


@given(TABLES, TABLES)
def test_the_later_layer_wins(below, above):
    merged = merge(below, above)

    for key, value in above.items():
        if not isinstance(value, dict):
            assert merged[key] == value
    assert set(merged) == set(below) | set(above)


@given(TABLES)
def test_any_mistake_is_reported_in_one_sentence(values):
    for placed in (values, {"collections": values}, {"llm": values, "retrieval": values.get("a")}):
        try:
            load(Everything, placed, "x")
        except ConfigurationError as error:
            assert "\n" not in str(error)
