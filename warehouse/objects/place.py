"""Where an object store's copy is on this machine, and which store a data folder is a copy of.

All code works on a local folder, the mirror. The file `.store/place.json` in it names its store, so that every process
that is handed the folder (a worker, a scheduled run) knows, without being told, that others share it. Nothing secret is
written there: credentials come from the environment of each process.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from warehouse.durable import replace_file, storage_errors
from warehouse.errors import StorageError

STATE = ".store"
"""The folder of a mirror that holds what is known of the store; it is never shared."""

_ADDRESS = re.compile(r"(?P<scheme>s3|gs)://(?P<bucket>[^/@?#:]+)(?P<prefix>(?:/[^/?#]+)*)/?")


@dataclass(frozen=True)
class StorePlace:
    """An object store as the configuration names it; `endpoint` is its server's address where the default won't do.

    `mirror` is the random name of the local folder, by which a process knows objects that the same folder wrote.
    """

    address: str
    endpoint: str | None
    mirror: str


def is_address(text: str) -> bool:
    """Whether a text is the address of something, not the path of a folder."""
    return "://" in text


def fault_of_address(address: str) -> str | None:
    """Return in a few words why an address can't be the place of a project's data, None if it can."""
    if _ADDRESS.fullmatch(address):
        return None
    scheme = address.partition("://")[0]
    if scheme not in ("s3", "gs"):
        return f"data is kept in a local folder, or at s3:// or gs://, not at {scheme}://"
    return "write the bucket and a prefix, as in s3://bucket/prefix; credentials belong in the environment"


def default_mirror(address: str) -> Path:
    """Return the folder of the user's cache for the copy of a store."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = re.sub(r"[^\w.-]+", "-", address.partition("://")[2].rstrip("/"))
    return cache / "beforehand" / f"{name}-{hashlib.sha256(address.rstrip('/').encode()).hexdigest()[:12]}"


def open_mirror(folder: Path, address: str, endpoint: str | None) -> StorePlace:
    """Make a folder the mirror of a store, or check that it is the one; return the place.

    Raises:
        StorageError: it holds data of its own, mirrors another store, or can't be written.
    """
    place = place_of(folder)
    wanted = address.rstrip("/")
    if place is not None and place.address != wanted:
        raise StorageError(f"{folder} is a copy of {place.address}, not of {wanted}; name another folder as data.")
    if place is None and any((folder / name).exists() for name in ("releases", "runs", "journal", "reviews.jsonl")):
        raise StorageError(
            f"{folder} holds data of its own and is no copy of {wanted}; name an empty folder as data, or remove "
            "[project] store."
        )
    opened = StorePlace(wanted, endpoint, place.mirror if place else secrets.token_hex(8))
    if opened != place:
        with storage_errors(folder, f"keep a copy of {wanted}"):
            (folder / STATE).mkdir(parents=True, exist_ok=True)
            replace_file(folder / STATE / "place.json", json.dumps(asdict(opened)).encode())
    return opened


def place_of(folder: Path) -> StorePlace | None:
    """Return the store that a data folder mirrors, None for an ordinary folder."""
    try:
        found = json.loads((folder / STATE / "place.json").read_bytes())
        return StorePlace(found["address"], found["endpoint"], found["mirror"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{folder / STATE / 'place.json'} can't be read ({error}); remove the folder.") from error
