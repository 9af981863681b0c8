"""A row type and its Arrow schema say the same: columns, order and types."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

import pyarrow as pa
import pytest

from warehouse.arrow_schema import schema_of


class Visit(TypedDict):
    page: str
    at: datetime
    seconds: float | None
    clicks: int
    tags: list[str]
    returned: bool


class Oddity(TypedDict):
    value: complex


def test_a_schema_has_the_columns_of_its_row_type_in_order() -> None:
    assert schema_of(Visit) == pa.schema(
        [
            ("page", pa.string()),
            ("at", pa.timestamp("us", tz="UTC")),
            ("seconds", pa.float64()),
            ("clicks", pa.int64()),
            ("tags", pa.list_(pa.string())),
            ("returned", pa.bool_()),
        ]
    )


def test_a_type_that_no_table_has_is_an_error() -> None:
    with pytest.raises(KeyError):
        schema_of(Oddity)
