"""The release that is served, and the swap to the next one under load.

The pointer is checked every half second with a `stat`. A new release is opened in a thread of its own (tens of
milliseconds; half a second with another encoder), then replaces the old one by one assignment in the event loop.
Requests that hold the old one keep it; it is closed after its last use. A release that can't be opened, for whatever
reason, is reported, and the old one stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from online.release.open_release import OpenRelease, ReleaseFacts
from online.release.opening import open_release
from rag.collection_settings import CollectionSettings
from rag.errors import BeforehandError
from rag.settings import RetrievalSettings
from warehouse.releases.release import collection_languages, current_id
from warehouse.releases.retention import hold_current

_TRY_AGAIN_SECONDS = 10.0  # the cause may have been ours: no memory, no file handles

_log = logging.getLogger("beforehand.release")


class CurrentRelease:
    """Follows the pointer of a data folder. `on_swap` gets "opened" or "failed" each time."""

    def __init__(
        self,
        data: Path,
        collections: Mapping[str, CollectionSettings],
        retrieval: RetrievalSettings,
        on_swap: Callable[[str], None],
    ) -> None:
        self._data = data
        self._collections = dict.fromkeys(collections, retrieval)
        self._declared = {name: each.filters for name, each in collections.items()}
        self._on_swap = on_swap
        self._open: OpenRelease | None = None
        self._retired: dict[str, OpenRelease] = {}
        self._refused: str | None = None
        self._try_again_at = 0.0
        self.failure: str | None = None

    def get(self) -> OpenRelease | None:
        """Return the release that is served now, or None before the first one."""
        return self._open

    def close(self) -> None:
        """Close the release after its last use."""
        if self._open is not None:
            self._open.retire()
            self._open = None

    async def follow(self) -> None:
        """Check the pointer once, and swap if it names another release.

        Raises:
            OSError, UnicodeDecodeError: the pointer can't be read.
        """
        target = current_id(self._data)
        if target is None or (self._open and target == self._open.release_id):
            self._refused = self.failure = None  # the refused release is no longer the target
            return
        if target == self._refused and time.monotonic() < self._try_again_at:
            return
        try:
            fresh = self._retired.pop(target, None)
            if fresh is None or fresh.closed:
                fresh = await asyncio.to_thread(self._load, self._open)
        except Exception as error:  # a release has many files, and each can be wrong in its own way
            self._fail(target, error)
            return
        self._swap(fresh)

    def _load(self, before: OpenRelease | None) -> OpenRelease:
        held = hold_current(self._data)  # so that it is not pruned while it is served
        target = held.release
        checksums = target.manifest.get("checksums", {})
        try:
            manifest = target.manifest
            languages, key_format = collection_languages(manifest), manifest.get("key_format", 1)
            facts = ReleaseFacts(manifest.get("model"), languages, key_format, self._declared)
            return open_release(target.release_id, target.path, checksums, self._collections, before, held.close, facts)
        except BaseException:
            held.close()
            raise

    def _swap(self, fresh: OpenRelease) -> None:
        old, self._open = self._open, fresh
        fresh.revive()
        self._refused, self.failure = None, None
        _log.info("serving release %s", fresh.release_id)
        self._retired = {name: each for name, each in self._retired.items() if not each.closed}
        if old is not None:
            old.retire()
            if not old.closed:
                self._retired[old.release_id] = old
        self._on_swap("opened")

    def _fail(self, target: str, error: Exception) -> None:
        self._refused, self._try_again_at = target, time.monotonic() + _TRY_AGAIN_SECONDS
        known = isinstance(error, OSError | BeforehandError)
        failure = f"release {target} can't be served: {error if known else repr(error)}"
        # An unexpected error comes with its traceback, once.
        _log.error("%s", failure, exc_info=None if known or failure == self.failure else error)
        self.failure = failure
        self._on_swap("failed")
