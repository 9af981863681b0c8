"""Follow an object store: what a mirror needs to be current before a command reads it, and while a service runs."""

from __future__ import annotations

from pathlib import Path

from warehouse.durable import storage_errors
from warehouse.lease import exclusive
from warehouse.objects.mirror import Mirror, mirror_of
from warehouse.objects.shared_log import follow_log
from warehouse.objects.trees import name_folders
from warehouse.releases.release import current_id, point_to, pointer_lock
from warehouse.releases.retention import remove_gone
from warehouse.releases.shared_pointer import follow_manifests, shared_pointer
from warehouse.releases.transfer import pull_release


def refresh(data: Path) -> None:
    """Bring a mirror up to date: decisions and withdrawals, the current release, which others and which runs there are.

    An ordinary data folder is left as it is.

    Raises:
        StorageError: the store can't be reached, or the disk refuses.
        TornReleaseError: the current release differs from its checksums.
    """
    if (mirror := mirror_of(data)) is not None:
        follow_log(mirror)
        follow_manifests(mirror)
        follow_release(mirror)
        name_folders(mirror, "runs")


def follow_release(mirror: Mirror) -> None:
    """Pull and verify the store's current release, then make it the mirror's.

    Raises:
        StorageError, TornReleaseError, NoReleaseError: as `refresh`; the mirror's release stays.
    """
    target = shared_pointer(mirror)
    data = mirror.folder
    if target is None or (target == current_id(data) and (data / "releases" / target).is_dir()):
        return
    pull_release(mirror, target)
    with storage_errors(data, "follow the store's release"), exclusive(pointer_lock(data)):
        point_to(data, target)
    follow_manifests(mirror)
    remove_gone(mirror)
