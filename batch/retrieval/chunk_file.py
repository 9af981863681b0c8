"""The chunks of a collection in a file that is mapped, by their ids and in the order of their documents.

A dictionary of them takes 3 KB a chunk. Mapped, a chunk is decoded when it is read, in some 10 µs, and those that were
read last are kept. The file has no name any more, so that a process that is killed leaves nothing.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import lmdb
import msgspec

from rag.retrieval.passages import StoredChunk

_KEPT = 4_096  # chunks
_TOGETHER = 2_048  # chunks, in a transaction
_ROOM = 1 << 26  # bytes; it grows

Entry = tuple[int, StoredChunk]
"""A chunk and its place in the order of the documents' texts."""


class ChunkFile(Mapping[str, StoredChunk]):
    """Chunks by id; iterated, their ids come in the order of the documents' texts."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._decode = msgspec.msgpack.Decoder(StoredChunk).decode
        self._known = functools.lru_cache(_KEPT)(self._find)

    @classmethod
    def write(cls, entries: Iterable[Entry]) -> ChunkFile:
        """Write chunks, in any order."""
        with tempfile.TemporaryDirectory() as folder:
            environment = lmdb.open(
                str(Path(folder) / "chunks"), map_size=_ROOM, subdir=False, lock=False, sync=False, max_spare_txns=16
            )
        left = iter(entries)
        while some := list(islice(left, _TOGETHER)):
            pairs = [(_place(place), msgspec.msgpack.encode(chunk)) for place, chunk in some]
            pairs += [(b"c" + chunk.chunk_id.encode(), _place(place)) for place, chunk in some]
            _put(environment, sorted(pairs))
        return cls(environment)

    def __getitem__(self, chunk_id: str) -> StoredChunk:
        found = self._known(chunk_id)
        if found is None:
            raise KeyError(chunk_id)
        return found

    def _find(self, chunk_id: str) -> StoredChunk | None:
        with self._environment.begin(buffers=True) as transaction:
            place = transaction.get(b"c" + chunk_id.encode())
            value = None if place is None else transaction.get(place)
            return None if value is None else self._decode(value)

    def __iter__(self) -> Iterator[str]:
        return (chunk.chunk_id for chunk in self._from(0))

    def __len__(self) -> int:
        return int(self._environment.stat()["entries"]) // 2

    def of_document(self, document_id: str) -> list[StoredChunk]:
        """Return the chunks of a document, in their order."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._at(middle).document_id < document_id:
                low = middle + 1
            else:
                high = middle
        found = []
        for chunk in self._from(low):
            if chunk.document_id != document_id:
                break
            found.append(chunk)
        return found

    def _from(self, place: int) -> Iterator[StoredChunk]:
        for each in range(place, len(self)):
            yield self._at(each)

    def _at(self, place: int) -> StoredChunk:
        with self._environment.begin(buffers=True) as transaction:
            value = transaction.get(_place(place))
            assert value is not None  # every place has a chunk
            return self._decode(value)


def _place(place: int) -> bytes:
    return b"p" + place.to_bytes(6, "big")


def _put(environment: lmdb.Environment, pairs: list[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                cursor.putmulti(pairs)
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)
        else:
            return
