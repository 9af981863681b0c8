"""Arrow schemas derived from row types, so that a table's columns are written down once.

A row is a plain dictionary of a `TypedDict`: mypy finds a misspelt column, and nothing is converted on the way to
Arrow. The types say less than Arrow can (one width of integers, one kind of time); the tables here need no more.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime

import pyarrow as pa

_ARROW: Mapping[object, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
    date: pa.date32(),
    list[str]: pa.list_(pa.string()),
    list[list[str]]: pa.list_(pa.list_(pa.string())),
    dict[str, list[str]]: pa.map_(pa.string(), pa.list_(pa.string())),
    dict[str, str]: pa.map_(pa.string(), pa.string()),
}


def schema_of(row: type) -> pa.Schema:
    """Return the Arrow schema of a row type: its columns, in order."""
    return _schema(row)


@functools.cache
def _schema(row: type) -> pa.Schema:
    return pa.schema([pa.field(name, _arrow_type(kind)) for name, kind in typing.get_type_hints(row).items()])


def _arrow_type(kind: object) -> pa.DataType:
    """Return the Arrow type of a column; every column may be null, so `str | None` is the same as `str`."""
    if isinstance(kind, types.UnionType):
        (kind,) = [each for each in kind.__args__ if each is not type(None)]
    return _ARROW[kind]
