"""Client of an object store (S3, Google Cloud Storage): small, synchronous, every error one sentence.

What others may write at the same time is written conditionally: `create` where nothing must be there yet
(If-None-Match), `replace` where a known state must be there still (If-Match). A conditional write whose answer was lost
is repeated by the library and then refused because of itself; callers put something random into the object and look
again.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from rag.credentials import public_address
from warehouse.errors import ContestedError, StorageError
from warehouse.objects.connection import ServerAccess, connect

if TYPE_CHECKING:
    from obstore import ObjectMeta, UpdateVersion

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 32  # transfers
# The words of servers and of the library, and what they mean for a person.
_MEANINGS = (
    (r"NoSuchBucket|bucket does not exist", "there is no such bucket; correct the address"),
    (r"RequestTimeTooSkewed", "this machine's clock is wrong; set it and try again"),
    (
        r"169\.254\.169\.254|metadata\.google|session\.get_credentials|OAuth",
        "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or GOOGLE_APPLICATION_CREDENTIALS",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|ExpiredToken|InvalidToken|code: 40[13]\b",
        "access is denied; check the credentials and what they may do",
    ),
    (r"error sending request|timed out|code: 50\d\b|dns error|connection", "its server can't be reached; try again"),
)


@dataclass(frozen=True)
class Stored:
    """An object in the store; `mark` (its ETag) and `version` change with it, `modified` is the store's time."""

    key: str
    size: int
    mark: str
    version: str | None
    modified: datetime


@dataclass(frozen=True)
class Content:
    """What an object held, and the object as it was then."""

    data: bytes
    stored: Stored


class ObjectStore:
    """The objects below a store's prefix; may be used by several threads."""

    def __init__(self, address: str, access: ServerAccess) -> None:
        """Prepare the client of `s3://bucket/prefix` or `gs://bucket/prefix`; nothing is asked of the store yet.

        Raises:
            StorageError: the client is not installed, or there are no credentials.
        """
        self.address = address
        _require_client(address)
        with self._sentences("use"):
            self._store = connect(address, access)

    def read(self, key: str) -> Content | None:
        """Return an object, None if there is none."""
        import obstore

        with self._sentences(f"read {key} in"):
            try:
                got = obstore.get(self._store, key)
                data = bytes(got.bytes())
            except FileNotFoundError as error:
                self._require_bucket(error)
                return None
        return Content(data, _stored(got.meta))

    def read_part(self, key: str, start: int, size: int) -> Content | None:
        """Return so many bytes of an object, fewer or none where it ends before; None if there is no such object."""
        import obstore
        from obstore.exceptions import BaseError

        with self._sentences(f"read {key} in"):
            try:
                got = obstore.get(self._store, key, options={"range": (start, start + size)})
                data = bytes(got.bytes())
            except FileNotFoundError as error:
                self._require_bucket(error)
                return None
            except BaseError as error:
                if "416" not in str(error):  # a range behind the end
                    raise
                found = self.find(key)
                return None if found is None else Content(b"", found)
        return Content(data, _stored(got.meta))

    def find(self, key: str) -> Stored | None:
        """Return an object without its content, None if there is none."""
        import obstore

        with self._sentences(f"read {key} in"):
            try:
                return _stored(obstore.head(self._store, key))
            except FileNotFoundError:
                return None

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file, a part at a time.

        Raises:
            FileNotFoundError: there is no such object.
        """
        import obstore

        with self._sentences(f"read {key} in"), path.open("wb") as file:
            for part in obstore.get(self._store, key).stream(min_chunk_size=8 * 2**20):
                file.write(part)

    def write(self, key: str, data: bytes | Path | BinaryIO) -> str:
        """Write an object, whatever was there; return its mark. A file that is open is read from its place on."""
        import obstore

        with self._sentences(f"write {key} to"):
            return obstore.put(self._store, key, data)["e_tag"] or ""

    def create(self, key: str, data: bytes | Path) -> str:
        """Write an object that must not exist yet; return its mark.

        Raises:
            ContestedError: it exists.
        """
        import obstore

        with self._sentences(f"write {key} to"):
            return obstore.put(self._store, key, data, mode="create")["e_tag"] or ""

    def replace(self, before: Stored, data: bytes | Path) -> str:
        """Write an object that must still be as it was found; return its mark.

        Raises:
            ContestedError: somebody else has written it.
        """
        import obstore

        mode: UpdateVersion = {"e_tag": before.mark}
        if before.version is not None:
            mode["version"] = before.version
        with self._sentences(f"write {before.key} to"):
            return obstore.put(self._store, before.key, data, mode=mode)["e_tag"] or ""

    def listed(self, prefix: str, after: str | None = None) -> list[Stored]:
        """Return the objects below a prefix (a folder), sorted by key; `after` skips the keys up to it."""
        import obstore

        with self._sentences(f"list {prefix} in"):
            batches = obstore.list(self._store, prefix or None, offset=after, chunk_size=1000)
            found = [each for batch in batches for each in batch]
        return sorted(map(_stored, found), key=lambda each: each.key)

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below a prefix."""
        import obstore

        with self._sentences(f"list {prefix} in"):
            found = obstore.list_with_delimiter(self._store, prefix or None)["common_prefixes"]
        return sorted(each.rpartition("/")[2] for each in found)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; one that is gone is no error."""
        import obstore

        for start in range(0, len(keys), 1000):
            with self._sentences(f"delete {keys[start]} in"):
                try:
                    obstore.delete(self._store, list(keys[start : start + 1000]))
                except FileNotFoundError:
                    continue

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the store."""
        import obstore

        with self._sentences(f"write {target} to"):
            obstore.copy(self._store, source, target)

    def contested(self, key: str) -> ContestedError:
        """Return the error that says that somebody else has written an object meanwhile."""
        return ContestedError(f"Can't write {key} to {self.address}: somebody else has written it meanwhile.")

    def _require_bucket(self, error: FileNotFoundError) -> None:
        if "NoSuchBucket" in str(error):
            raise error

    @contextmanager
    def _sentences(self, task: str) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise ContestedError(f"Can't {task} {self.address}: somebody else has written it meanwhile.") from None
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                raise
            raise StorageError(f"Can't {task} {self.address}: {_meaning(str(error))}.") from None
        except (BaseError, ValueError) as error:
            raise StorageError(f"Can't {task} {self.address}: {_meaning(str(error))}.") from None


def _stored(meta: ObjectMeta) -> Stored:
    return Stored(meta["path"], meta["size"], meta["e_tag"] or "", meta["version"], meta["last_modified"])


def _require_client(address: str) -> None:
    if importlib.util.find_spec("obstore") is None:
        scheme = address.partition("://")[0]
        extra = "gcs" if scheme == "gs" else "s3"
        raise StorageError(
            f"{scheme}:// is read with the package obstore, which is not installed; install the extra `{extra}`"
        )


def _meaning(said: str) -> str:
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            return meaning
    return public_address(said.partition("\n")[0])


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do a piece of work for each item in threads; return the results in order, or raise the first error."""
    listed = list(items)
    if len(listed) < 2:
        return [work(each) for each in listed]
    with ThreadPoolExecutor(min(_AT_ONCE, len(listed)), thread_name_prefix="objects") as pool:
        return list(pool.map(work, listed))
