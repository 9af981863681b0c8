"""Whether the object store can be followed, as the thread of `online.release.object_store` last noted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from warehouse.errors import StorageError
from warehouse.objects.place import known

TROUBLE = "trouble"
"""The note in a mirror that holds, under `said`, why its store can't be followed."""


def store_trouble(data: Path) -> Callable[[], None]:
    """Return a check for a worker process: it raises while the store of its data folder can't be followed."""

    def check() -> None:
        if said := known(data, TROUBLE).get("said"):
            raise StorageError(str(said))

    return check
