"""What the service needs of a stored answer to decide whether it may be served.

A search asks this of every answer near the question, so the latest are kept decoded.
"""

from __future__ import annotations

import datetime
import functools
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from warehouse.releases.serving_index import ServingIndex

_KEPT = 1 << 14  # some 10 MB


class Head(msgspec.Struct):
    """The fields of an anticipated answer's body that the service itself needs."""

    collection: str
    fingerprint: str
    query_key: str
    generated_at: datetime.datetime
    documents: list[str]
    origin: str = ""
    valid_until: datetime.datetime | None = None

    def expired(self, max_age: int | None) -> bool:
        """Whether the answer is too old to be served as prepared; `max_age` is in seconds.

        What a reviewer wrote instead of a curated answer is not bound to the end of that.
        """
        if max_age is None and (self.valid_until is None or self.origin == "edited"):
            return False
        now = time.time()
        if max_age is not None and now - self.generated_at.timestamp() > max_age:
            return True
        until = None if self.origin == "edited" else self.valid_until
        return until is not None and now > until.timestamp()


decode_head = msgspec.json.Decoder(Head).decode


class StoredHeads:
    """Finds the heads of served answers by their query keys. A release never changes, so what was read stays true."""

    def __init__(self, index: ServingIndex) -> None:
        self._index = index
        self.find = functools.lru_cache(_KEPT)(self._read)

    def _read(self, query_key: str) -> Head | None:
        """Return the head of an answer, or None if the release does not serve it."""
        body = self._index.answer(query_key)
        return None if body is None else decode_head(body)
