"""The mirror of an object store: its client, its locks, and what is known of the store here.

`mirror_of` is the one place that tells a mirror from an ordinary data folder.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from warehouse.durable import replace_file, storage_errors
from warehouse.errors import StorageError
from warehouse.lease import exclusive
from warehouse.objects.client import ObjectStore
from warehouse.objects.connection import ServerAccess
from warehouse.objects.outbox import PLACE
from warehouse.objects.place import StorePlace, known, place_of, state_of


class Mirror:
    """A local folder and the store that it mirrors."""

    def __init__(self, folder: Path, place: StorePlace) -> None:
        """Open the store's client; see `mirror_of`."""
        self.folder = folder
        self.name = place.mirror
        self.store = ObjectStore(place.address, ServerAccess(place.endpoint))

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Hold one of the mirror's locks during the block: one process at a time transfers the same things."""
        return exclusive(state_of(self.folder, f"{name}.lock"))

    def known(self, name: str) -> dict[str, object]:
        """Return what was last noted under a name, empty if nothing was."""
        return known(self.folder, name)

    def note(self, name: str, what: Mapping[str, object]) -> None:
        """Note something about the store, durably."""
        path = state_of(self.folder, f"{name}.json")
        with storage_errors(self.folder, "note what the store holds"):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, json.dumps(what).encode())

    def forget(self, name: str) -> None:
        """Remove what was noted under a name."""
        state_of(self.folder, f"{name}.json").unlink(missing_ok=True)


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
    if place is not None and place.endpoint == endpoint:
        return place
    path = state_of(folder, PLACE)
    with storage_errors(folder, f"keep a copy of {wanted}"), exclusive(state_of(folder, "place.lock")):
        named = place_of(folder)  # another process that starts now may have been quicker
        opened = StorePlace(wanted, endpoint, named.mirror if named else secrets.token_hex(8))
        replace_file(path, json.dumps(asdict(opened)).encode())
    return opened


def mirror_of(data: Path) -> Mirror | None:
    """Return the mirror that a data folder is, None if it is an ordinary folder.

    Raises:
        StorageError: its store can't be used: no client, no credentials.
    """
    place = place_of(data)
    return None if place is None else _opened(data, place)


@lru_cache(maxsize=16)
def _opened(folder: Path, place: StorePlace) -> Mirror:
    return Mirror(folder, place)
