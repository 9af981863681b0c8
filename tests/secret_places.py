"""Every place of the configuration that can hold a secret, found in the types of the settings, and a search."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import duckdb
import pyarrow.parquet as pq
from pydantic import BaseModel, SecretStr

from beforehand.configuration import Settings
from rag.credentials import SecretAddress, SecretOption

CANARY = "c4n4ry"
"""What each secret contains, the hash of a key aside."""

HASH = hashlib.sha256(CANARY.encode()).hexdigest()
_NAMES = {
    "collections": "default",
    "keys": "desk",
    "models": "small",
    "shadow": "other",
}  # of sections


@dataclass(frozen=True)
class Place:
    """A setting that can hold a secret: its keys, the type that says so, and whether it is a list."""

    keys: tuple[str, ...]
    kind: type
    many: bool

    def __str__(self) -> str:
        return ".".join(self.keys)

    @property
    def secret(self) -> str:
        """A secret of this place's own, in the form that the place wants."""
        own = f"{CANARY}-{'-'.join(self.keys[-2:])}"
        if self.keys[-1] == "hash":
            return f"sha256:{HASH}"
        if self.kind is SecretAddress:
            return f"https://user-{own}:password-{own}@127.0.0.1:9/v1?signature={own}"
        return f"--s3_secret_access_key={own}" if self.kind is SecretOption else own


def secret_places(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> Iterator[Place]:
    """Yield the places of a section and of those in it."""
    for name, field in model.model_fields.items():
        types = list(_types_in(field.annotation))
        for kind in (SecretStr, SecretAddress, SecretOption):
            if kind in types:
                yield Place((*above, name), kind, list in types)
        for inner in types:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                named = (_NAMES[name],) if dict in types else ()
                yield from secret_places(inner, (*above, name, *named))


def _types_in(annotation: object) -> Iterator[object]:
    yield getattr(annotation, "__origin__", annotation)
    for inner in get_args(annotation):
        yield from _types_in(inner)


def traces(folder: Path, *secrets: str) -> list[str]:
    """Return where one of the secrets stands below a folder: in a file's name, its bytes, or its rows."""
    found = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            texts = [str(path), path.read_bytes().decode("utf-8", "replace")]
        except FileNotFoundError:  # a server that still runs has removed it
            continue
        texts += _ROWS.get(path.suffix, lambda _: [])(path)
        there = [secret for secret in secrets if any(secret in each for each in texts)]
        found += [f"{path.relative_to(folder)}: {secret}" for secret in there]
    return found


def _duckdb_rows(path: Path) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
        return [str(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for (name,) in tables]


def _sqlite_rows(path: Path) -> list[str]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = [str(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for (name,) in tables]
    connection.close()
    return rows


def _parquet_rows(path: Path) -> list[str]:
    return [str(pq.read_table(path).to_pylist())]


_ROWS: dict[str, Callable[[Path], list[str]]] = {
    ".duckdb": _duckdb_rows,
    ".db": _sqlite_rows,
    ".parquet": _parquet_rows,
}
