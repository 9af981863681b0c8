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
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import StorageError
from warehouse.objects.outbox import PLACE, STATE

RELEASES = "releases"
"""The note that holds the manifests of the store's releases and failed builds, by the names of their folders."""

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


def place_of(folder: Path) -> StorePlace | None:
    """Return the store that a data folder mirrors, None for an ordinary folder."""
    try:
        found = json.loads((folder / STATE / PLACE).read_bytes())
        return StorePlace(found["address"], found["endpoint"], found["mirror"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{folder / STATE / 'place.json'} can't be read ({error}); remove the folder.") from error


def state_of(folder: Path, name: str) -> Path:
    """Return where a mirror keeps something of its own: a note, a lock."""
    return folder / STATE / name.replace("/", "--")


def known(folder: Path, name: str) -> dict[str, object]:
    """Return what a mirror last noted of its store under a name; empty if nothing, or for an ordinary folder."""
    try:
        noted: dict[str, object] = json.loads(state_of(folder, f"{name}.json").read_bytes())
    except FileNotFoundError:
        return {}
    return noted
