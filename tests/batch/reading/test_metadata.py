"""What documents and questions say about themselves: lists of texts by name, as long as a table can hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.formats.front_matter import split_front_matter
from batch.reading.metadata import LONGEST_VALUE, MOST_FIELDS, metadata_of, what_was_cut
from batch.reading.own_date import own_date, read_date

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def test_every_field_is_a_list_of_texts_under_a_plain_name():
    fields = {
        "Product Line": "Shop",
        "version": 2,
        "beta": True,
        "tags": ["a", "b"],
        "author": {"name": "Kim"},
        "x": None,
    }
    assert metadata_of(fields) == {
        "product_line": ["Shop"],
        "version": ["2"],
        "beta": ["true"],
        "tags": ["a", "b"],
        "author": ['{"name": "Kim"}'],
    }


def test_an_object_called_metadata_is_taken_apart_and_the_fields_beside_it_count_more():
    assert metadata_of({"metadata": {"version": 1, "audience": "HR"}, "version": 2}) == {
        "version": ["2"],
        "audience": ["HR"],
    }


def test_what_is_cut_is_told():
    fields = {f"f{number}": "x" for number in range(MOST_FIELDS + 2)} | {"f0": "x" * (LONGEST_VALUE + 1)}
    kept = metadata_of(fields)
    assert (len(kept), len(kept["f0"][0])) == (MOST_FIELDS, LONGEST_VALUE)
    assert what_was_cut(fields) == (
        "its metadata lacks 2 fields (at most 64 are kept) and the ends of f0 (at most 1,000 characters are kept)"
    )
    assert what_was_cut({"version": "2"}) == ""


@settings(max_examples=40)
@given(st.dictionaries(st.text(), values))
def test_whatever_a_field_holds_the_table_can_hold_it(fields):
    kept = metadata_of(fields)
    assert len(kept) <= MOST_FIELDS
    assert all(name and name == name.strip().lower() for name in kept)
    assert all(text and len(text) <= LONGEST_VALUE for texts in kept.values() for text in texts)


def test_no_credentials_of_an_address_are_kept():
    assert metadata_of({"canonical": "https://user:secret@e.example/a"}) == {"canonical": ["https://e.example/a"]}


def test_front_matter_is_kept_as_it_is_written():
    fields, _ = split_front_matter("---\nversion: 1.10\ncountry: no\ndate: 2024-03-05\nempty: ~\n---\nText")
    assert fields == {"version": "1.10", "country": "no", "date": "2024-03-05"}


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-03-05", "2024-03-05T00:00:00+00:00"),
        ("2024-03-05 10:00:00 +02:00", "2024-03-05T08:00:00+00:00"),
        ("05-Mar-2024", "2024-03-05T00:00:00+00:00"),
        ("March 5th, 2024", "2024-03-05T00:00:00+00:00"),
        ("05.03.2024", "2024-03-05T00:00:00+00:00"),
        ("Tue, 05 Mar 2024 10:00:00 GMT", "2024-03-05T10:00:00+00:00"),
        ("1709632800", "2024-03-05T10:00:00+00:00"),
        ("13/03/2024", "2024-03-13T00:00:00+00:00"),
        ("03/05/2024", None),  # the day first, or the month?
        ("$Date$", None),
        ("soon", None),
        ("9999-12-31", None),
    ],
)
def test_dates_are_read_as_people_write_them(text, date):
    found = read_date(text)
    assert (found and found.isoformat()) == date


@given(st.text() | st.integers().map(str) | st.from_regex(r"[\d./: -]{4,20}"))
def test_a_date_is_one_that_every_table_holds(text):
    found = read_date(text)
    assert found is None or (1000 <= found.year <= 9998 and found.utcoffset().total_seconds() == 0)


def test_the_date_of_the_last_change_counts_before_that_of_publication():
    assert own_date({"date": "2020-01-01", "Last_Modified": "2024-03-05"}).year == 2024
    assert own_date({"last_update": {"date": "2023-01-02", "author": "Kim"}}).year == 2023
    assert own_date({"date": "soon", "created": "2021-01-01"}).year == 2021
    assert own_date({"title": "2024-03-05"}) is None
