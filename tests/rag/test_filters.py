"""Filters: values as they are compared, and which documents fit a question."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rag.collection_settings import CollectionSettings
from rag.filters import Filtering, fits, marks_of, normal_value
from rag.identity import query_key

VERSIONED = Filtering(("version", "audience"), (("version", "2"),))


@settings(max_examples=50)
@given(st.text(max_size=20))
def test_a_value_is_compared_without_regard_to_case_and_blanks(text: str) -> None:
    value = normal_value(text)

    assert normal_value(value) == value
    assert normal_value(f" \t{text}\n") == value
    assert normal_value("  Human   RESOURCES ") == "human resources"


@pytest.mark.parametrize(
    ("metadata", "filters", "fit"),
    [
        ({}, {}, True),
        ({}, {"version": "1"}, True),
        ({"version": ["1"]}, {}, False),
        ({"version": ["1", "2"]}, {"version": "2"}, True),
        ({"version": ["1; 2"]}, {"version": "2"}, True),
        ({"version": ["1"]}, {"version": "2"}, False),
        ({"version": ["1"], "audience": ["HR"]}, {"version": "1"}, False),
        ({"version": ["1"], "audience": ["HR"]}, {"version": "1", "audience": "hr"}, True),
        ({"version": [" "], "audience": []}, {}, True),
        ({"colour": ["red"]}, {}, True),
    ],
)
def test_a_document_fits_a_question_that_has_one_of_its_values_in_every_field(
    metadata: dict[str, list[str]], filters: dict[str, str], fit: bool
) -> None:
    assert fits(marks_of(VERSIONED.fields, metadata), tuple(sorted(filters.items()))) is fit


def test_a_question_without_a_value_has_the_default() -> None:
    assert VERSIONED.of({}) == (("version", "2"),)
    assert VERSIONED.of({"version": " 1 ", "audience": "HR", "colour": "red"}) == (("audience", "hr"), ("version", "1"))
    assert VERSIONED.of({"version": " "}) == (("version", "2"),)
    assert Filtering().of({"version": "1"}) == ()


def test_a_question_about_a_document_has_its_values_the_default_first() -> None:
    def of(**metadata: list[str]) -> object:
        return VERSIONED.of_document(marks_of(VERSIONED.fields, metadata))

    assert of(version=["1", "2"]) == (("version", "2"),)
    assert of(version=["3", "1"], audience=["legal"]) == (("audience", "legal"), ("version", "1"))
    assert of() == (("version", "2"),)


def test_filters_are_part_of_a_key_and_none_leave_it_as_it_was() -> None:
    keys = {query_key("docs", "What is X?", filters) for filters in ((), (("v", "1"),), (("v", "2"),), (("w", "1"),))}

    assert len(keys) == 4
    assert query_key("docs", "What is X?") == query_key("docs", "What is X?", ()) == "40e92cf419bf1eb88146ca0257b2fa4e"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"filter_defaults": {"version": "1"}}, "filter_defaults names version, which is not among filters (none)"),
        ({"filters": ["version"], "key_filters": ["audience"]}, "key_filters names audience"),
        ({"filters": ["question"]}, "question is a column of its own"),
        ({"filters": ["version"], "filter_defaults": {"version": " "}}, "it is empty"),
    ],
)
def test_a_collection_declares_the_filters_that_it_uses(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match="1 validation error") as raised:
        CollectionSettings.model_validate({"documents": [], **settings})

    assert said in str(raised.value)


def test_names_of_fields_are_those_of_metadata() -> None:
    settings = CollectionSettings.model_validate(
        {"documents": [], "filters": ["Product Line", "version"], "filter_defaults": {"product line": " X "}}
    )

    assert settings.filtering == Filtering(("product_line", "version"), (("product_line", "x"),))
