"""Beam's file system for the objects of a project's store, so that workers that share no folder read and write them.

Beam's own for S3 makes a client for each object that it opens, which takes longer than reading it; this one keeps the
client of `warehouse.objects`. An address says which server is meant (`objects://s3=http%3A%2F%2Fhost/bucket/key`), so
that a worker needs to be told nothing but credentials, which it takes from its environment. An object is written whole
when it is closed, so nobody sees half of one. Of a large one only what is asked for is read: a shelf, a column of a
table.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, unquote

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem

from warehouse.objects.client import ObjectStore, Stored, in_parallel
from warehouse.objects.connection import ServerAccess

if TYPE_CHECKING:
    from typing_extensions import Buffer

SCHEME = "objects"
_HEAD = 256 * 1024  # bytes that the first request brings, where a reader begins by asking for the size


def objects_address(address: str, endpoint: str | None) -> str:
    """Return the address for Beam of a store, as `s3://bucket/prefix`, at a server of its own if `endpoint` says so."""
    scheme, _, rest = address.partition("://")
    return f"{SCHEME}://{scheme}={quote(endpoint or '', safe='')}/{rest.rstrip('/')}"


def is_objects(path: str) -> bool:
    """Whether a path is one of this file system."""
    return path.startswith(f"{SCHEME}://")


def read(path: str) -> bytes | None:
    """Return an object's content, None if there is none."""
    store, key = _opened(path)
    found = store.read(key)
    return None if found is None else found.data


def write(path: str, data: bytes | Path | BinaryIO) -> None:
    """Write an object, or a file as one."""
    store, key = _opened(path)
    store.write(key, data)


def download(path: str, target: Path) -> None:
    """Write an object to a file, a part at a time."""
    store, key = _opened(path)
    store.download(key, target)


class ObjectFiles(FileSystem):
    """The file system; Beam finds it by its scheme once this module is imported."""

    @classmethod
    def scheme(cls) -> str:
        """Return the scheme of its addresses."""
        return SCHEME

    def join(self, basepath: str, *paths: str) -> str:
        """Join parts of a path."""
        return "/".join([basepath.rstrip("/"), *(each.strip("/") for each in paths)])

    def split(self, path: str) -> tuple[str, str]:
        """Split a path into its folder and its name."""
        folder, _, name = path.rpartition("/")
        return folder, name

    def mkdirs(self, path: str) -> None:
        """Do nothing: a store has no folders."""

    def has_dirs(self) -> bool:
        """Return that there are no folders."""
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        store, key = _opened(dir_or_prefix)
        root = dir_or_prefix[: len(dir_or_prefix) - len(key)]
        for each in store.listed(key.rpartition("/")[0]):  # the store lists whole parts of a path
            if each.key.startswith(key):
                yield _metadata(root + each.key, each)

    def create(
        self,
        path: str,
        mime_type: str = "application/octet-stream",  # noqa: ARG002  # Beam's signature
        compression_type: str = CompressionTypes.AUTO,  # noqa: ARG002
    ) -> io.RawIOBase:
        """Return a file that is written to the store when it is closed."""
        return _NewObject(path)

    def open(
        self,
        path: str,
        mime_type: str = "application/octet-stream",  # noqa: ARG002
        compression_type: str = CompressionTypes.AUTO,  # noqa: ARG002
    ) -> io.RawIOBase:
        """Return an object's content as a file; one that is not there is noticed by the first read."""
        return _Object(path)

    def copy(self, source_file_names: Sequence[str], destination_file_names: Sequence[str]) -> None:
        """Copy objects inside the store."""
        in_parallel(_copy, zip(source_file_names, destination_file_names, strict=True))

    def rename(self, source_file_names: Sequence[str], destination_file_names: Sequence[str]) -> None:
        """Copy objects and delete what they were copied from."""
        self.copy(source_file_names, destination_file_names)
        self.delete(source_file_names)

    def exists(self, path: str) -> bool:
        """Whether there is an object of this name, or a folder."""
        store, key = _opened(path)
        return store.find(key) is not None or bool(store.listed(key))

    def size(self, path: str) -> int:
        """Return an object's size in bytes."""
        return int(self.metadata(path).size_in_bytes)

    def last_updated(self, path: str) -> float:
        """Return when an object was written, in seconds since 1970."""
        return float(self.metadata(path).last_updated_in_seconds)

    def checksum(self, path: str) -> str:
        """Return an object's mark (its ETag)."""
        return _found(path).mark

    def metadata(self, path: str) -> FileMetadata:
        """Return an object's size and time."""
        return _metadata(path, _found(path))

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects, and all objects of folders; what is gone is no error."""
        for path, keys in zip(paths, in_parallel(_keys, paths), strict=True):
            _opened(path)[0].delete(keys)


class _Object(io.RawIOBase):
    """An object as a file without a buffer: a read is a request, except of the first bytes of one that was sized."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._place = 0
        self._size: int | None = None
        self._head = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: lambda: 0, io.SEEK_CUR: self.tell, io.SEEK_END: self._sized}
        self._place = max(starts[whence]() + offset, 0)
        return self._place

    def readall(self) -> bytes:
        if self._place == 0 and self._size is None:
            data = read(self._path)
            if data is None:
                raise BeamIOError(f"{self._path} is not there")
            self._head, self._size = data, len(data)
        return self.read(self._sized() - self._place)

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return self.readall()
        end = self._place + size if self._size is None else min(self._place + size, self._size)
        start, self._place = self._place, max(end, self._place)
        if start >= end:
            return b""
        if end <= len(self._head):
            return self._head[start:end]
        data = self._part(start, end - start)
        self._place = start + len(data)
        return data

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer).cast("B")
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def _sized(self) -> int:
        if self._size is None:
            self._head = self._part(0, _HEAD)
        assert self._size is not None
        return self._size

    def _part(self, start: int, size: int) -> bytes:
        store, key = _opened(self._path)
        found = store.read_part(key, start, size)
        if found is None:
            raise BeamIOError(f"{self._path} is not there")
        self._size = found.stored.size
        return found.data


class _NewObject(io.RawIOBase):
    """An object that is being written: a file without a name, which is sent when it is closed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  # it is closed with the object

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Buffer) -> int:
        return self._file.write(data)

    def close(self) -> None:
        if self.closed:
            return
        try:
            with self._file:
                self._file.seek(0)
                write(self._path, self._file)
        finally:
            super().close()


def _opened(path: str) -> tuple[ObjectStore, str]:
    """Return the client for a path's bucket, and the key in it."""
    server, bucket, key = [*path.partition("://")[2].split("/", 2), "", ""][:3]
    scheme, _, endpoint = server.partition("=")
    return _client(f"{scheme}://{bucket}", unquote(endpoint) or None), key


@lru_cache(maxsize=16)
def _client(address: str, endpoint: str | None) -> ObjectStore:
    return ObjectStore(address, ServerAccess(endpoint))


def _found(path: str) -> Stored:
    store, key = _opened(path)
    found = store.find(key)
    if found is None:
        raise BeamIOError(f"{path} is not there")
    return found


def _copy(pair: tuple[str, str]) -> None:
    store, source = _opened(pair[0])
    store.copy(source, _opened(pair[1])[1])


def _keys(path: str) -> list[str]:
    store, key = _opened(path)
    return [key, *(each.key for each in store.listed(key))]


def _metadata(path: str, stored: Stored) -> FileMetadata:
    return FileMetadata(path, stored.size, stored.modified.timestamp())
