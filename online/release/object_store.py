"""Follows the object store that the data folder is a copy of: one thread a machine, whatever the workers.

The workers read the folder as ever. This thread pulls a new release and verifies it before it moves the folder's
pointer, brings the decisions and withdrawals of other machines, and sends the journal. A store that is away changes
nothing for visitors; `/readyz` says so, and what was recorded waits.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from online.http.askers import ASKER_SALT, Askers
from online.http.session import SESSION_SECRET, Sessions
from online.release.store_trouble import TROUBLE
from online.telemetry.throttled_log import ThrottledLog
from rag.errors import BeforehandError
from warehouse.errors import StorageError
from warehouse.objects.journal_chunks import send_journal
from warehouse.objects.mirror import Mirror, mirror_of
from warehouse.objects.shared_files import send_file, share_file
from warehouse.objects.shared_log import follow_log
from warehouse.releases.following import follow_release
from warehouse.releases.release import current_id

_JOURNAL_SECONDS = 10.0

_log = logging.getLogger("beforehand.store")


@contextmanager
def following_store(data: Path, seconds: float) -> Iterator[None]:
    """Follow the store of a data folder every `seconds` during the block, and send all at its end.

    Nothing happens for an ordinary folder.

    Raises:
        BeforehandError: the store can't be followed at the start, and there is no release here to serve meanwhile.
    """
    mirror = mirror_of(data)
    if mirror is None:
        yield
        return
    follower = _Follower(mirror)
    follower.begin()
    ended = threading.Event()
    thread = threading.Thread(target=follower.run, args=(seconds, ended), name="object-store", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        follower.end()


class _Follower:
    """The rounds of the thread, and what went wrong in the last one."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._trouble = ThrottledLog(_log)
        self._noted: str | None = "nothing yet"
        self._sent_at = 0.0

    def begin(self) -> None:
        """Follow once, before anything is served, and share what all machines must have alike."""
        data = self._mirror.folder
        try:
            Askers(data)  # makes the salt
            Sessions(data / SESSION_SECRET).begin("", 1)  # and the secret, where there is none
            share_file(self._mirror, ASKER_SALT)
            share_file(self._mirror, SESSION_SECRET)
            follow_log(self._mirror)
            follow_release(self._mirror)
        except BeforehandError as error:
            if current_id(data) is None:
                raise
            self._note(error)
        else:
            self._note(None)

    def run(self, seconds: float, ended: threading.Event) -> None:
        """Follow again and again; no error ends it."""
        while not ended.wait(seconds):
            try:
                follow_log(self._mirror)
                if time.monotonic() - self._sent_at > _JOURNAL_SECONDS:
                    self._sent_at = time.monotonic()
                    send_journal(self._mirror)
                    send_file(self._mirror, ASKER_SALT)  # each day has another
                follow_release(self._mirror)
            except Exception as error:  # the next round may succeed, whatever it was
                self._note(error)
            else:
                self._note(None)

    def end(self) -> None:
        """Send what is left, now that the journal is closed."""
        try:
            follow_log(self._mirror)
            send_journal(self._mirror)
        except BeforehandError as error:
            _log.error("%s What is not sent stays in %s, and goes at the next start.", error, self._mirror.folder)

    def _note(self, error: Exception | None) -> None:
        """Tell the workers, by a note in the folder, and the log."""
        said = None if error is None else str(error) if isinstance(error, BeforehandError) else repr(error)
        if said is not None:
            unexpected = None if isinstance(error, BeforehandError) else error
            self._trouble(logging.ERROR, "the object store can't be followed: %s", said, fault=unexpected)
        if said != self._noted:
            with contextlib.suppress(StorageError):
                self._mirror.note(TROUBLE, {"said": said})
                self._noted = said
