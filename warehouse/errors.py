"""Errors of the warehouse; each message is one sentence for a person."""

from __future__ import annotations

from rag.errors import BeforehandError


class WarehouseError(BeforehandError):
    """Base of the warehouse's errors."""


class NoReleaseError(WarehouseError):
    """Nothing has been published yet, or no release has this name."""


class ReleaseElsewhereError(WarehouseError):
    """A release of an object store has not been pulled to this machine; `name` is that of its folder."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Release {name} is in the object store and not on this machine.")
        self.name = name


class TornReleaseError(WarehouseError):
    """A file of a release is missing or its checksum differs."""


class NewerDataError(TornReleaseError):
    """A release was made by a newer version of Beforehand, so this one can't use it."""


class LoadError(WarehouseError):
    """A run's tables can't be loaded: a file, a column or a constraint is wrong."""


class AuditFailedError(WarehouseError):
    """A build failed its audit; it is kept for inspection and not published."""


class BuildInProgressError(WarehouseError):
    """Another build holds the lease."""


class QueryError(WarehouseError):
    """An analyst's SQL was refused or is wrong."""


class ReviewError(WarehouseError):
    """A review file can't be imported."""


class StorageError(WarehouseError):
    """The disk is full or the data folder can't be written."""


class ContestedError(StorageError):
    """An object of a store was written by somebody else meanwhile, or exists already."""
