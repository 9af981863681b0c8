"""The lease on a build: a lock of this machine, and in a mirror the lease of the store as well.

The lock comes first and goes last, so whoever asks the store in a mirror's name is the only one to do so.
"""

from __future__ import annotations

from pathlib import Path

from warehouse.durable import storage_errors
from warehouse.lease import Lease
from warehouse.objects.mirror import mirror_of
from warehouse.objects.store_lease import StoreLease, refuse_while_held


class BuildLease:
    """The right to build, held until `release` or the process's death."""

    def __init__(self, local: Lease, shared: StoreLease | None) -> None:
        """Own leases that were taken; call `acquire` instead."""
        self._local = local
        self._shared = shared

    @classmethod
    def acquire(cls, data: Path, holder: str, wait_seconds: float = 0.0) -> BuildLease:
        """Take the lease of a data folder, waiting up to `wait_seconds` for another holder.

        Raises:
            BuildInProgressError: another process holds it; the message says which, and since when.
            StorageError: the data folder can't be written, or its store can't be reached.
        """
        folder = data / "releases"
        with storage_errors(folder, "start a build"):
            folder.mkdir(parents=True, exist_ok=True)
            local = Lease.acquire(folder / ".lease", holder, wait_seconds)
        try:
            mirror = mirror_of(data)
            shared = None if mirror is None else StoreLease.acquire(mirror, holder, wait_seconds)
        except BaseException:
            local.release()
            raise
        return cls(local, shared)

    def require(self) -> None:
        """Raise if the lease was lost, which only that of a store can be.

        Raises:
            BuildInProgressError: it lapsed, and another process took it.
            StorageError: the store can't be asked.
        """
        if self._shared is not None:
            self._shared.require()

    def release(self) -> None:
        """Release the lease; a second call does nothing."""
        if self._shared is not None:
            self._shared.release()
        self._local.release()


def refuse_second_build(data: Path) -> None:
    """Fail early if a build is in progress, before a run prepares anything; `begin_build` checks again.

    Raises:
        BuildInProgressError: another build holds the lease.
    """
    lease = data / "releases" / ".lease"
    if lease.exists():
        Lease.acquire(lease, "a run that is starting").release()
    if (mirror := mirror_of(data)) is not None:
        refuse_while_held(mirror)
