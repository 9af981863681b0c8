"""Which releases an object store holds, and which one is current there.

A release is in the store when its manifest is, which is written last (`warehouse.releases.transfer`). So one that was
pushed halfway is listed nowhere and named by nothing. The pointer, `releases/CURRENT`, moves by a conditional write.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import partial

from warehouse.errors import ContestedError, StorageError, TornReleaseError
from warehouse.objects.client import in_parallel
from warehouse.objects.mirror import Mirror
from warehouse.objects.place import RELEASES

FOLDER = "releases"
_POINTER = f"{FOLDER}/CURRENT"
_ATTEMPTS = 10

StoredManifest = dict[str, object]


def shared_manifests(mirror: Mirror) -> dict[str, StoredManifest]:
    """Return the manifests of the store's releases and failed builds as last seen, by the names of their folders."""
    return {name: each for name, each in mirror.known(RELEASES).items() if isinstance(each, dict)}


def follow_manifests(mirror: Mirror) -> None:
    """See which releases the store has."""
    before = shared_manifests(mirror)
    names = mirror.store.folders(FOLDER)
    fresh = [name for name in names if name not in before]
    found = dict(zip(fresh, in_parallel(partial(_manifest, mirror), fresh), strict=True))
    known = {name: before.get(name) or found.get(name) for name in names}
    mirror.note(RELEASES, {name: each for name, each in known.items() if each is not None})


def drop_release(mirror: Mirror, name: str) -> None:
    """Delete a release in the store, its manifest first, so that nobody begins to pull what is going."""
    manifest = f"{FOLDER}/{name}/manifest.json"
    mirror.store.delete([manifest])
    mirror.store.delete([each.key for each in mirror.store.listed(f"{FOLDER}/{name}")])
    mirror.note(RELEASES, {each: what for each, what in shared_manifests(mirror).items() if each != name})


def _manifest(mirror: Mirror, name: str) -> StoredManifest | None:
    content = mirror.store.read(f"{FOLDER}/{name}/manifest.json")
    if content is None:
        return None
    try:
        manifest: StoredManifest = json.loads(content.data)
    except ValueError as error:
        raise TornReleaseError(
            f"{mirror.store.address}/{FOLDER}/{name}: its manifest can't be read ({error})."
        ) from None
    return manifest


# -- the pointer -------------------------------------------------------------------------------------------


def shared_pointer(mirror: Mirror) -> str | None:
    """Return the id of the store's current release, None if nothing has been published."""
    content = mirror.store.read(_POINTER)
    return content.data.decode().strip() or None if content else None


def move_pointer(mirror: Mirror, release_id: str, still_allowed: Callable[[], None]) -> None:
    """Make a release the store's current one.

    `still_allowed` raises if the caller lost its right to; it is asked between reading and writing the pointer, so
    whoever got the right afterwards has either not published yet or makes this writing fail.

    Raises:
        ContestedError: others move the pointer all the time.
    """
    target = f"{release_id}\n".encode()
    for _ in range(_ATTEMPTS):
        before = mirror.store.read(_POINTER)
        if before is not None and before.data == target:
            return
        still_allowed()
        with contextlib.suppress(ContestedError):
            if before is None:
                mirror.store.create(_POINTER, target)
            else:
                mirror.store.replace(before.stored, target)
            return
    raise mirror.store.contested(_POINTER)


def move_pointer_from(mirror: Mirror, present: str | None, release_id: str) -> None:
    """Make a release the store's current one, if another still is.

    Raises:
        StorageError: the pointer was moved meanwhile.
    """

    def unchanged() -> None:
        now = shared_pointer(mirror)
        if now not in (present, release_id):
            raise StorageError(
                f"The current release of {mirror.store.address} became {now} meanwhile; nothing was changed."
            )

    move_pointer(mirror, release_id, unchanged)
