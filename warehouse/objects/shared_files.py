"""Small files that all machines must have alike: the secret that signs sessions, the salt that names callers."""

from __future__ import annotations

from contextlib import suppress

from warehouse.durable import replace_file, storage_errors
from warehouse.errors import ContestedError
from warehouse.objects.mirror import Mirror


def share_file(mirror: Mirror, name: str) -> None:
    """Take a file of the store, if there is one; else let the store have this machine's.

    Raises:
        StorageError: the store or the disk refuses.
    """
    path = mirror.folder / name
    with suppress(ContestedError):  # another machine was quicker
        if mirror.store.find(name) is None and path.exists():
            mirror.store.create(name, path.read_bytes())
    found = mirror.store.read(name)
    if found is not None and (not path.exists() or path.read_bytes() != found.data):
        with storage_errors(mirror.folder, f"write {name}"):
            replace_file(path, found.data)
            path.chmod(0o600)


def send_file(mirror: Mirror, name: str) -> None:
    """Let the store have this machine's file, which follows from the one that it has."""
    path = mirror.folder / name
    found = mirror.store.read(name)
    if found is None or found.data != path.read_bytes():
        mirror.store.write(name, path)
