"""Source files: the files behind each file, folder, glob or URL that a collection names.

A name that exists exactly as written is meant literally, whatever characters it contains; only otherwise is it a
pattern. Local files are listed by `batch.sources.local_files`, everything else through Beam's file systems
(`batch.sources.remote_files`).

A document is named by its path below the folder that is listed. If two entries contain the same name, the later one
gets its folder's name in front (`policies/index.md` beside `index.md`), so that none is lost and no other changes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from batch.formats.office import OFFICE_ENDINGS, is_readable
from batch.formats.readers import READABLE
from batch.plan import RunPlan
from batch.reading.document import file_id
from batch.rejects import reject_row
from batch.runners.options import pipeline_options
from batch.settings import BatchSettings
from batch.sources import local_files
from batch.sources.exclusions import excluder, without_excluded
from batch.sources.local_files import FoundFiles, is_glob
from batch.sources.remote_files import RemoteFiles, innermost
from rag.collection_settings import CollectionSettings
from rag.credentials import SecretAddress, hide, secret_values
from rag.errors import ConfigurationError
from rag.text.table_files import Reject, ending
from warehouse.objects.client import in_parallel
from warehouse.tables import RejectRow


@dataclass(frozen=True)
class SourceFile:
    """A file of a collection; `name` is its path below the folder that is listed, `path` opens it.

    `copy` is where workers read it who don't see the path (`batch.sharing`).
    """

    collection: str
    name: str
    path: str
    copy: str | None = None

    @property
    def readable(self) -> str:
        """What a worker opens."""
        return self.copy or self.path


@dataclass
class Listing:
    """The files of the entries, the entries without any file, and what can't be read, with the reason.

    `skipped` counts the files of listed folders that have no readable ending, by collection, entry and ending;
    `excluded` those that the collection leaves out, by collection and pattern.
    """

    sources: list[SourceFile] = field(default_factory=list)
    missing: list[SourceFile] = field(default_factory=list)
    rejects: list[tuple[str, Reject]] = field(default_factory=list)
    skipped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    excluded: Counter[tuple[str, str]] = field(default_factory=Counter)

    def skipped_figures(self) -> dict[str, int]:
        """Return how many files are excluded or of an ending that is not read, by a name for the stage's output."""
        figures: Counter[str] = Counter()
        for (_, _, kind), count in self.skipped.most_common():
            figures[f"{kind or 'files without an ending'} skipped"] += count
        if self.excluded:
            figures["files excluded"] = self.excluded.total()
        return dict(figures)

    def reject_rows(self, run_id: str, stage: str) -> list[RejectRow]:
        """Return the rows of the rejects table, including those of missing entries."""
        skipped = [_skipped_reject(*which, count) for which, count in sorted(self.skipped.items())]
        return [reject_row(run_id, stage, collection, reject) for collection, reject in [*self.unusable(), *skipped]]

    def skipped_items(self) -> set[str]:
        """Return the items of the rejects that stand for files of an ending that is not read."""
        return {_skipped_reject(*which, count)[1].item for which, count in self.skipped.items()}

    def unusable(self) -> list[tuple[str, Reject]]:
        """Return the rejects of entries without a file and of files that can't be read, each with its collection."""
        return [*map(_missing_reject, self.missing), *self.rejects]


def find_documents(collections: Mapping[str, CollectionSettings], settings: BatchSettings) -> Listing:
    """List the files of each collection's documents, without those that it excludes.

    Raises:
        ConfigurationError: an address can't be read or reached.
    """
    excluded = {name: each.exclude for name, each in collections.items()}
    return find_sources({name: each.documents for name, each in collections.items()}, settings, excluded)


def find_sources(
    collections: Mapping[str, Sequence[SecretAddress]],
    settings: BatchSettings,
    exclude: Mapping[str, Sequence[str]] | None = None,
) -> Listing:
    """List the files of each collection's entries; an entry without any file is no error here.

    `exclude` are the patterns of what each collection leaves out (`batch.sources.exclusions`).

    Raises:
        ConfigurationError: an address can't be read or reached.
    """
    options = pipeline_options(settings)
    FileSystems.set_options(options)  # a pipeline would do this, but there is none yet
    listing = Listing()
    for collection, entries in collections.items():
        names = _Names()
        excluded_by = excluder((exclude or {}).get(collection, ()))
        for entry, expanded in zip(entries, _expand_each(entries, options), strict=True):
            if isinstance(expanded, ConfigurationError):
                said = hide(str(expanded), secret_values(entry, settings))
                raise ConfigurationError(f"[collections.{collection}] {entry}: {said}") from None
            root, found = expanded
            if not found.files:
                listing.missing.append(SourceFile(collection, str(entry), entry.get_secret_value()))
            found, patterns = without_excluded(found, partial(_below, root=root), excluded_by)
            listing.excluded.update((collection, pattern) for pattern in patterns)
            listing.rejects += [(collection, _rejected(path, root, reason)) for path, reason in found.broken]
            listing.skipped.update((collection, str(entry), ending(path)) for path in found.skipped)
            for path in found.files:
                if not _is_utf8(_below(path, root)):
                    listing.rejects.append((collection, _rejected(path, root, "its name is not UTF-8; rename it")))
                elif name := names.give(path, root):
                    listing.sources.append(SourceFile(collection, name, path))
    return listing


def refuse_missing(plan: RunPlan) -> None:
    """Raise if a configured file or folder is missing; a glob may match nothing.

    A folder that is not mounted would look like a corpus whose documents are all gone, and a list that was moved
    like questions that nobody asks any more.

    Raises:
        ConfigurationError: names the first one that is missing.
    """
    for name, collection in plan.collections.items():
        for kind in ("documents", "questions", "curated"):
            for each in find_sources({name: getattr(collection, kind)}, plan.settings).missing:
                if not is_glob(each.path):
                    raise ConfigurationError(
                        f"[collections.{name}] {kind} names {each.name}: there is no such file, nor a folder with "
                        "a file that can be read; correct the path"
                    )


# -- one entry ---------------------------------------------------------------------------------------------


def _expand_each(
    entries: Sequence[SecretAddress], options: PipelineOptions
) -> list[tuple[str, FoundFiles] | ConfigurationError]:
    """Return the folder and the files of each entry, or what is wrong with it; remote entries are listed together."""
    remote = RemoteFiles(options)

    def expanded(entry: SecretAddress) -> tuple[str, FoundFiles] | ConfigurationError:
        try:
            return _expand(entry.get_secret_value(), remote)
        except ConfigurationError as error:
            return error

    if any("://" in entry.get_secret_value() for entry in entries):
        return in_parallel(expanded, entries)
    return [expanded(entry) for entry in entries]


def _expand(entry: str, remote: RemoteFiles) -> tuple[str, FoundFiles]:
    """Return the folder of an entry and its files; in a folder, those with a readable ending."""
    scheme, separator, rest = entry.partition("://")
    try:
        if separator and scheme != "file":
            return _remote(entry.rstrip("/"), remote)
        return _local(_path_of_url(rest) if separator else entry)
    except ConfigurationError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise ConfigurationError(
            f"can't be listed ({innermost(error)}); check the address and your access to it"
        ) from error


def _path_of_url(rest: str) -> str:
    path = unquote(rest.removeprefix("localhost"))
    if not path.startswith("/"):
        raise ConfigurationError("file:// is followed by an absolute path, as in file:///srv/handbook")
    return path


def _local(entry: str) -> tuple[str, FoundFiles]:
    path = Path(entry).absolute()
    if path.is_dir():
        return str(path), _in_folder(str(path), local_files.walk(str(path)))
    if path.is_file():
        return str(path.parent), FoundFiles([str(path)])
    if not is_glob(str(path)):
        return "", FoundFiles()
    root, found = local_files.find(str(path))
    return root, FoundFiles([each for each in found.files if not _base(each).startswith(".")], found.broken)


def _remote(entry: str, remote: RemoteFiles) -> tuple[str, FoundFiles]:
    remote.require_access(entry)
    inside = _in_folder(entry, remote.walk(entry))
    return (entry, inside) if inside.files else remote.find(entry)


def _in_folder(root: str, found: FoundFiles) -> FoundFiles:
    """Keep the files of a listed folder that are read: readable endings, nothing hidden."""

    def visible(path: str) -> bool:
        return "/." not in path.removeprefix(root)

    def may_be_meant(path: str) -> bool:
        return visible(path) and (_readable(path) or "." not in _base(path) or Path(path).is_dir())

    return FoundFiles(
        [path for path in found.files if visible(path) and _readable(path)],
        [(path, reason) for path, reason in found.broken if may_be_meant(path)],
        [path for path in found.files if visible(path) and not _readable(path)],
    )


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _readable(path: str) -> bool:
    kind = ending(_base(path))
    return kind in READABLE or is_readable(kind)


# -- names -------------------------------------------------------------------------------------------------


class _Names:
    """The names of a collection's files; each name is of one file, and each file has one name."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}  # by the id that the name makes
        self._known: set[str] = set()

    def give(self, path: str, root: str) -> str:
        """Return the first of a file's possible names that is free, or "" if the file has a name already."""
        if path in self._known:
            return ""
        self._known.add(path)
        for name in _possible_names(path, root):
            other = self._files.setdefault(file_id(name), path)
            if other == path:
                return name
            if "://" not in path and Path(other).samefile(path):
                return ""
        return ""


def _possible_names(path: str, root: str) -> Iterator[str]:
    """Yield a file's path below the root, then with the root's name before it, then with the folder above that."""
    name = _below(path, root)
    yield name
    for folder in reversed(root.partition("://")[2].split("/") if "://" in root else root.split("/")):
        if folder:
            name = f"{folder}/{name}"
            yield name


def _below(path: str, root: str) -> str:
    return path.removeprefix(root).lstrip("/")


def _is_utf8(name: str) -> bool:
    """Whether a table can hold a name; Python represents bytes that are not UTF-8 as lone surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _skipped_reject(collection: str, entry: str, kind: str, count: int) -> tuple[str, Reject]:
    """Return what the rejects say about the files of one ending that a folder holds and nobody reads."""
    files = f"{count:,} file{'s' if count > 1 else ''}"
    if kind in OFFICE_ENDINGS:
        advice = "install the extra `office`, which reads them"
    else:
        advice = "name those that are documents, or convert them, if they are to be read"
    reason = f"{files} ending in {kind} skipped: {advice}" if kind else f"{files} without an ending skipped: {advice}"
    return collection, Reject(f"{entry}/**/*{kind}", reason)


def _missing_reject(entry: SourceFile) -> tuple[str, Reject]:
    reason = f"{entry.name}: no such file, folder or match; correct [collections.{entry.collection}]"
    return entry.collection, Reject(entry.name, reason)


def _rejected(path: str, root: str, reason: str) -> Reject:
    name = os.fsencode(_below(path, root) or path).decode("utf-8", "backslashreplace")
    return Reject(name, f"{name}: {reason}")
