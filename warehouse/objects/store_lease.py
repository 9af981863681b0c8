"""The right to do something alone, among machines that share only an object store: one object, renewed by its holder.

It names the holder, and lapses when it has not been renewed for a minute by the store's own clock, so that the clocks
of machines don't matter. Each renewal is conditional on the one before: a holder that was suspended and replaced
notices, and must not publish (`require`). A lease of the same mirror is taken over at once: whoever asks holds the
mirror's own lock, so the process that wrote it is dead.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from warehouse.errors import BuildInProgressError, ContestedError, StorageError
from warehouse.objects.client import Content
from warehouse.objects.mirror import Mirror

BUILD = "releases/.lease"
"""The lease of whoever builds and publishes."""

FOLLOW_TURN = "releases/.turn"
"""The lease of the follower that looks what is covered, builds what is not, and notes it."""

_SECONDS = 60.0  # without a renewal until it lapses
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Note:
    """What a lease says of its holder. `beat` counts the renewals, so that each has another content."""

    holder: str
    process: int
    host: str
    since: str
    mirror: str
    mark: str
    seconds: float
    beat: int = 0
    released: bool = False

    def as_bytes(self) -> bytes:
        """Return it as the object's content."""
        return json.dumps(asdict(self)).encode()


class StoreLease:
    """The lease of a store, renewed by a thread until `release`."""

    def __init__(self, mirror: Mirror, note: Note, key: str) -> None:
        """Own a lease that was just written; call `acquire` instead."""
        self._mirror = mirror
        self._note = note
        self._key = key
        self._lost: str | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="store-lease", daemon=True)
        self._thread.start()

    @classmethod
    def acquire(cls, mirror: Mirror, holder: str, wait_seconds: float = 0.0, key: str = BUILD) -> StoreLease:
        """Take the lease, waiting up to `wait_seconds` for another holder; the caller holds a mirror's lock for it.

        Raises:
            BuildInProgressError: another process holds it; the message says which, since when, and when it lapses.
        """
        deadline = time.monotonic() + wait_seconds
        since = datetime.now(UTC).isoformat(timespec="seconds")
        note = Note(holder, os.getpid(), socket.gethostname(), since, mirror.name, secrets.token_hex(8), _SECONDS)
        while True:
            with contextlib.suppress(ContestedError):  # another took it just now; look who
                found = mirror.store.read(key)
                if found is None:
                    mirror.store.create(key, note.as_bytes())
                    return cls(mirror, note, key)
                if _is_ours(found, note):  # the answer to our own writing was lost
                    return cls(mirror, note, key)
                if (left := _seconds_left(mirror, found)) <= 0:
                    mirror.store.replace(found.stored, note.as_bytes())
                    return cls(mirror, note, key)
                if time.monotonic() >= deadline:
                    raise BuildInProgressError(_who(mirror, found, left))
                time.sleep(_POLL_SECONDS)

    def require(self) -> None:
        """Renew the lease now; raise if it is held by somebody else.

        Raises:
            BuildInProgressError: it lapsed, and another process took it.
            StorageError: the store can't be asked.
        """
        with self._lock:
            self._renew()
        if self._lost:
            raise BuildInProgressError(self._lost)

    def release(self) -> None:
        """Give the lease back; a second call does nothing, and a store that is away lets it lapse."""
        if self._ended.is_set():
            return
        self._ended.set()
        with self._lock, contextlib.suppress(StorageError):
            if self._lost is None:
                self._write(replace(self._note, beat=self._note.beat + 1, released=True))

    def _keep(self) -> None:
        while not self._ended.wait(self._note.seconds / 4):
            with self._lock, contextlib.suppress(StorageError):  # the next round tries again
                if not self._ended.is_set():
                    self._renew()

    def _renew(self) -> None:
        if self._lost is None:
            self._write(replace(self._note, beat=self._note.beat + 1))

    def _write(self, note: Note) -> None:
        """Replace our lease; notice if it is not ours any more."""
        found = self._mirror.store.read(self._key)
        if found is not None and _is_ours(found, note):
            try:
                self._mirror.store.replace(found.stored, note.as_bytes())
            except ContestedError:
                found = self._mirror.store.read(self._key)
            self._note = note
        if found is None or not _is_ours(found, note):
            self._lost = (
                f"This run lost its lease on {self._mirror.store.address}, since it did not renew it in time; "
                f"{'somebody removed it' if found is None else _name(found) + ' holds it'}, and nothing is published."
            )


def refuse_while_held(mirror: Mirror) -> None:
    """Raise if a process of another machine builds.

    Raises:
        BuildInProgressError: as `StoreLease.acquire` does.
    """
    found = mirror.store.read(BUILD)
    if found is not None and (left := _seconds_left(mirror, found)) > 0:
        raise BuildInProgressError(_who(mirror, found, left))


def _is_ours(found: Content, note: Note) -> bool:
    return (known := _note_of(found)) is not None and known.mark == note.mark


def _seconds_left(mirror: Mirror, found: Content) -> float:
    """Return for how long a lease still holds, by the store's clock."""
    note = _note_of(found)
    if note is None or note.released or note.mirror == mirror.name:
        return 0.0
    key = f".clock/{mirror.name}"
    mirror.store.write(key, secrets.token_bytes(8))
    asked = mirror.store.read(key)
    if asked is None:
        return note.seconds
    return note.seconds - (asked.stored.modified - found.stored.modified).total_seconds()


def _note_of(found: Content) -> Note | None:
    try:
        return Note(**json.loads(found.data))
    except (ValueError, TypeError):
        return None


def _name(found: Content) -> str:
    note = _note_of(found)
    return "another process" if note is None else f"run {note.holder} (process {note.process} on {note.host})"


def _who(mirror: Mirror, found: Content, left: float) -> str:
    note = _note_of(found)
    since = f" since {note.since}" if note else ""
    return (
        f"A build is in progress: {_name(found)} holds the lease of {mirror.store.address}{since}; wait until it ends, "
        f"or, if it was killed, {left:.0f} seconds until the lease lapses."
    )
