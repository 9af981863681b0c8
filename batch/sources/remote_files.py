"""Remote files: in an object store, or any other place that Beam has a file system for.

Beam retries an error that may pass for ten minutes, and takes missing credentials for one. So S3 is asked once
beforehand, and a mistake is reported at once. Beam also makes a client for each call to S3, which takes as long as ten
calls; here all entries of a listing share one, and are listed together.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from apache_beam.io.filesystem import BeamIOError, FileSystem
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from batch.sources.local_files import FoundFiles, is_glob
from rag.errors import ConfigurationError

if TYPE_CHECKING:
    from apache_beam.io.aws.s3io import S3IO

# The package that reads an address, and the extra that installs it.
_NEEDED = {"s3": ("boto3", "s3"), "gs": ("google.cloud.storage", "gcs")}
_SIGN = re.compile(r"[*?[]")


class RemoteFiles:
    """Lists remote files as Beam's options say; its methods may be called in several threads."""

    def __init__(self, options: PipelineOptions) -> None:
        self._options = options
        self._made: S3IO | None = None
        self._lock = threading.Lock()

    def require_access(self, address: str) -> None:
        """Raise if an address can't be read, before Beam retries for minutes.

        Raises:
            ConfigurationError: nothing reads such addresses, or a package is missing.
            Exception: the store's own error, if it denies access.
        """
        scheme = address.partition("://")[0]
        module, extra = _NEEDED.get(scheme, ("", ""))
        if module and not _installed(module):
            raise ConfigurationError(
                f"{scheme}:// is read with the package {module}, which is not installed; install the extra `{extra}`"
            )
        try:
            FileSystems.get_filesystem(address)
        except ValueError:
            raise ConfigurationError(
                f"nothing reads {scheme}://; name a path, or an address that begins with file://, s3:// or gs://"
            ) from None
        if scheme == "s3":
            self._ask_s3(address)

    def walk(self, folder: str) -> FoundFiles:
        """Find the files below a folder. A name with `*` or `?` is not one, which saves a listing."""
        if is_glob(folder) and "[" not in folder:
            return FoundFiles()
        anything = _SIGN.sub("?", folder)  # Beam has no sign that makes another one stand for itself
        return FoundFiles([path for path in self.marks(f"{anything}/**") if path.startswith(f"{folder}/")])

    def find(self, pattern: str) -> tuple[str, FoundFiles]:
        """Return the folder of a file or a glob, and the files behind it."""
        glob = is_glob(pattern)
        if (not glob or "[" in pattern) and self._exists(pattern):
            return FileSystems.split(pattern)[0], FoundFiles([pattern])
        if not glob:
            return "", FoundFiles()
        fixed = _SIGN.split(pattern, maxsplit=1)[0]
        return fixed.rpartition("/")[0], FoundFiles([path for path in self.marks(pattern) if not path.endswith("/")])

    def marks(self, pattern: str) -> dict[str, str]:
        """Return the files that match a pattern, sorted, without hidden ones, each with its size and time."""
        found = dict(self._matching_in_s3(pattern) if _is_s3(pattern) else _matching(pattern))
        return {path: found[path] for path in sorted(found) if not path.rpartition("/")[2].startswith(".")}

    def _matching_in_s3(self, pattern: str) -> Iterator[tuple[str, str]]:
        matches = re.compile(FileSystem.translate_pattern(pattern)).match
        for path, (size, updated) in self._s3().list_files(_SIGN.split(pattern, maxsplit=1)[0], with_metadata=True):
            if matches(path):
                yield path, f"{size} {updated}"

    def _exists(self, path: str) -> bool:
        return bool(self._s3().exists(path) if _is_s3(path) else FileSystems.exists(path))

    def _ask_s3(self, address: str) -> None:
        from apache_beam.io.aws import s3io
        from apache_beam.io.aws.clients.s3 import messages

        bucket, key = s3io.parse_s3_path(f"{address}/", object_optional=True)
        try:
            self._s3().client.list(messages.ListRequest(bucket=bucket, prefix=_SIGN.split(key)[0]))
        except messages.S3ClientError as error:
            if error.code != 404:  # 404: there is nothing of this name
                raise

    def _s3(self) -> S3IO:
        from apache_beam.io.aws.s3io import S3IO

        with self._lock:
            if self._made is None:
                self._made = S3IO(options=self._options)
            return self._made


def _is_s3(address: str) -> bool:
    return address.startswith("s3://")


def _matching(pattern: str) -> Iterator[tuple[str, str]]:
    for result in FileSystems.match([pattern]):
        for each in result.metadata_list:
            yield each.path, f"{each.size_in_bytes} {each.last_updated_in_seconds}"


def innermost(error: BaseException) -> str:
    """Return the first line of the error that made Beam raise one."""
    while isinstance(error, BeamIOError) and error.exception_details:
        error = next(iter(error.exception_details.values()))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return said.partition("\n")[0] or type(error).__name__


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing too
        return False
