"""Questions on their way into groups of one key, in files: a runner would hold all of them in memory to group them.

Keys are spread over shelves by their hash. A worker writes the items that it has read into a file, shelf by shelf, and
the runner groups the places; so what is in memory at once is one shelf, a 64th of all.
"""

from __future__ import annotations

import pickle
import uuid
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from batch.questions.wordings import Item
from batch.stores.parquet import write_bytes

_SHELVES = 64
_MOST = 8_000  # items that a worker holds before it writes them


class Place(NamedTuple):
    """Where in a file some items of a shelf stand."""

    file: str
    start: int
    size: int


def shelf_of(query_key: str) -> int:
    """Return the number of a key's shelf."""
    return zlib.crc32(query_key.encode()) % _SHELVES


class Shelve(beam.DoFn):
    """Items → (shelf, place in a file of the folder)."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._held: dict[int, list[Item]] = {}
        self._count = 0

    def start_bundle(self) -> None:
        """Begin with nothing."""
        self._held, self._count = {}, 0

    def process(self, item: Item) -> Iterator[tuple[int, Place]]:
        """Take an item; yields places once a file is full."""
        self._held.setdefault(shelf_of(item.query_key), []).append(item)
        self._count += 1
        if self._count >= _MOST:
            yield from self._written()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Write what is left."""
        window = GlobalWindow()
        for each in self._written():
            yield WindowedValue(each, window.max_timestamp(), [window])

    def _written(self) -> Iterator[tuple[int, Place]]:
        held, self._held, self._count = self._held, {}, 0
        if not held:
            return
        file, whole = f"{self._folder}/{uuid.uuid4().hex}", bytearray()
        places = []
        for shelf, items in sorted(held.items()):
            packed = pickle.dumps(items, protocol=5)
            places.append((shelf, Place(file, len(whole), len(packed))))
            whole += packed
        write_bytes(file, bytes(whole))
        yield from places


def items_by_key(places: Iterable[Place]) -> Iterator[tuple[str, list[Item]]]:
    """Yield the keys of a shelf, each with its items."""
    found: dict[str, list[Item]] = {}
    for place in places:
        with FileSystems.open(place.file, compression_type="uncompressed") as stream:
            stream.seek(place.start)
            for item in pickle.loads(stream.read(place.size)):
                found.setdefault(item.query_key, []).append(item)
    yield from found.items()
