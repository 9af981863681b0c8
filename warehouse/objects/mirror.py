"""The mirror of an object store: its client, its locks, and what is known of the store here.

`mirror_of` is the one place that tells a mirror from an ordinary data folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

from warehouse.durable import replace_file, storage_errors
from warehouse.lease import exclusive
from warehouse.objects.client import ObjectStore
from warehouse.objects.connection import ServerAccess
from warehouse.objects.place import STATE, StorePlace, place_of


class Mirror:
    """A local folder and the store that it mirrors."""

    def __init__(self, folder: Path, place: StorePlace) -> None:
        """Open the store's client; see `mirror_of`."""
        self.folder = folder
        self.name = place.mirror
        self.store = ObjectStore(place.address, ServerAccess(place.endpoint))

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Hold one of the mirror's locks during the block: one process at a time transfers the same things."""
        return exclusive(self._state(name, "lock"))

    def known(self, name: str) -> dict[str, object]:
        """Return what was last noted under a name, empty if nothing was."""
        try:
            noted: dict[str, object] = json.loads(self._state(name, "json").read_bytes())
        except FileNotFoundError:
            return {}
        return noted

    def note(self, name: str, what: Mapping[str, object]) -> None:
        """Note something about the store, durably."""
        path = self._state(name, "json")
        with storage_errors(self.folder, "note what the store holds"):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, json.dumps(what).encode())

    def forget(self, name: str) -> None:
        """Remove what was noted under a name."""
        self._state(name, "json").unlink(missing_ok=True)

    def _state(self, name: str, ending: str) -> Path:
        return self.folder / STATE / f"{name.replace('/', '--')}.{ending}"


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
