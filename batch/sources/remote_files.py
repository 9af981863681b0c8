"""Remote files: in an object store, or any other place that Beam has a file system for.

Beam retries an error that may pass for ten minutes, and takes missing credentials for one. So S3 is asked once
beforehand, and a mistake is reported at once.
"""

from __future__ import annotations

import importlib.util
import re

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from batch.sources.local_files import FoundFiles, is_glob
from batch.stores.parquet import list_files
from rag.errors import ConfigurationError

# The package that reads an address, and the extra that installs it.
_NEEDED = {"s3": ("boto3", "s3"), "gs": ("google.cloud.storage", "gcs")}
_SIGN = re.compile(r"[*?[]")


def require_access(address: str, options: PipelineOptions) -> None:
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
        _ask_s3(address, options)


def walk(folder: str) -> FoundFiles:
    """Find the files below a folder. A name with `*` or `?` is not one, which saves a listing."""
    if is_glob(folder) and "[" not in folder:
        return FoundFiles()
    anything = _SIGN.sub("?", folder)  # Beam has no sign that makes another one stand for itself
    return FoundFiles([path for path in list_files(f"{anything}/**") if path.startswith(f"{folder}/")])


def find(pattern: str) -> tuple[str, FoundFiles]:
    """Return the folder of a file or a glob, and the files behind it."""
    glob = is_glob(pattern)
    if (not glob or "[" in pattern) and FileSystems.exists(pattern):
        return FileSystems.split(pattern)[0], FoundFiles([pattern])
    if not glob:
        return "", FoundFiles()
    fixed = _SIGN.split(pattern, maxsplit=1)[0]
    return fixed.rpartition("/")[0], FoundFiles([path for path in list_files(pattern) if not path.endswith("/")])


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


def _ask_s3(address: str, options: PipelineOptions) -> None:
    from apache_beam.io.aws import s3io
    from apache_beam.io.aws.clients.s3 import messages

    bucket, key = s3io.parse_s3_path(f"{address}/", object_optional=True)
    try:
        s3io.S3IO(options=options).client.list(messages.ListRequest(bucket=bucket, prefix=_SIGN.split(key)[0]))
    except messages.S3ClientError as error:
        if error.code != 404:  # 404: there is nothing of this name
            raise
