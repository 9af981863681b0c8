"""The bytes of source files: of many small objects at once, with one client a process.

Beam's file system makes a client for each object of S3 that it opens, which takes longer than reading it. So `s3://`
and `gs://` are read with the client of `warehouse.objects`, sixteen objects at a time; all else, and what that client
can't name, through Beam.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from functools import lru_cache

from apache_beam.options.pipeline_options import PipelineOptions, S3Options
from pydantic import SecretStr

from batch.runners.options import pipeline_options
from batch.settings import BatchSettings
from batch.stores.parquet import read_bytes
from warehouse.objects.client import ObjectStore, in_parallel
from warehouse.objects.connection import ServerAccess

AT_ONCE = 16
"""Files that are read together, which bounds their memory."""


class FileContents:
    """Reads source files as the batch's settings say; plain data that Beam can send to a worker."""

    def __init__(self, settings: BatchSettings) -> None:
        self._access = _access(pipeline_options(settings)) if importlib.util.find_spec("obstore") else None

    def read(self, path: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            Exception: the file system's own error.
        """
        scheme, separator, rest = path.partition("://")
        bucket, _, key = rest.partition("/")
        if self._access is None or not separator or scheme not in ("s3", "gs") or not _is_plain(key):
            return read_bytes(path)
        found = _bucket(f"{scheme}://{bucket}", self._access).read(key)
        if found is None:
            raise FileNotFoundError(f"{path} is gone")
        return found.data

    def read_each(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | Exception]]:
        """Yield the bytes of each file, or the error of one that can't be read, in order."""
        for start in range(0, len(paths), AT_ONCE):
            part = paths[start : start + AT_ONCE]
            if any("://" in path for path in part):
                yield from zip(part, in_parallel(self._try, part), strict=True)
            else:
                yield from ((path, self._try(path)) for path in part)

    def _try(self, path: str) -> bytes | Exception:
        try:
            return self.read(path)
        except Exception as error:  # each file system has its own errors
            return error


def _is_plain(key: str) -> bool:
    """Whether the client names an object as the store does; it takes no empty parts, nor those that mean folders."""
    return all(part not in ("", ".", "..") for part in key.split("/"))


def _access(options: PipelineOptions) -> ServerAccess | None:
    """Return what Beam's options say about S3; None if they say what the client doesn't know."""
    given = options.view_as(S3Options)
    if given.s3_disable_ssl or given.s3_verify:
        return None
    secret, token = given.s3_secret_access_key, given.s3_session_token
    return ServerAccess(
        given.s3_endpoint_url,
        given.s3_region_name,
        given.s3_access_key_id,
        SecretStr(secret) if secret else None,
        SecretStr(token) if token else None,
    )


@lru_cache(maxsize=16)
def _bucket(address: str, access: ServerAccess) -> ObjectStore:
    return ObjectStore(address, access)
