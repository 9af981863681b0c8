"""Make an earlier release the current one again: the same swap of the pointer as a publication."""

from __future__ import annotations

from pathlib import Path

from warehouse.durable import storage_errors
from warehouse.errors import NoReleaseError
from warehouse.lease import exclusive
from warehouse.objects.mirror import mirror_of
from warehouse.releases.publications import log_publication
from warehouse.releases.release import Release, current_id, find, point_to, pointer_lock, releases, verify
from warehouse.releases.shared_pointer import move_pointer_from


def rollback(data: Path, release_id: str | None = None, by: str | None = None, reason: str | None = None) -> Release:
    """Make another release the current one: the named one, or the one that the current one replaced.

    Who did it (by default this process's account) and why are recorded.

    Raises:
        NoReleaseError: there is none to go back to.
        TornReleaseError: it does not pass its checksums; the current one stays.
    """
    target = _before_current(data) if release_id is None else find(data, release_id)
    if target.path.name.startswith("."):
        raise NoReleaseError(f"{target.release_id} failed its audit and can't be made current.")
    verify(target)
    if (mirror := mirror_of(data)) is not None:
        move_pointer_from(mirror, current_id(data), target.release_id)
    with storage_errors(data, "roll back"), exclusive(pointer_lock(data)):
        if not target.path.is_dir():
            raise NoReleaseError(f"{target.release_id} was just pruned; the current release stays.")
        replaced = current_id(data)
        point_to(data, target.release_id)
        log_publication(data, "rollback", target.release_id, replaced, by=by, reason=reason)
    return target


def _before_current(data: Path) -> Release:
    """Return the release before the current one, which itself may be torn: that is a reason to roll back."""
    present = current_id(data)
    if present is None:
        raise NoReleaseError(f"{data} holds no release yet; `beforehand run` builds one.")
    known = {release.release_id: release for release in releases(data)}
    older = [release for release_id, release in known.items() if release_id < present]
    replaced = str(known[present].manifest.get("previous")) if present in known else ""
    before = known.get(replaced) or (older[-1] if older else None)
    if before is None:
        raise NoReleaseError(f"There is no release before {present}.")
    return find(data, before.release_id)
