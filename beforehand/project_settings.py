"""Where a project's files are: a folder, or an object store that a folder of this machine is a copy of.

Whoever reads the settings finds a folder as `data` in any case; `store` says whether others share it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from rag.credentials import SecretAddress, public_address
from rag.settings import HttpAddress, RoomSettings
from warehouse.objects.place import default_mirror, fault_of_address, is_address


class ProjectSettings(RoomSettings):
    """Where the project's files are."""

    data: Path = Field(
        Path("data"),
        description="Folder for runs, releases, journal and history; or the address of an object store "
        "(`s3://bucket/prefix`, `gs://bucket/prefix`), which is copied to a folder of the user's cache as needed.",
    )
    store: SecretAddress | None = Field(
        None, description="The address of an object store that `data` is a copy of, where you choose the folder."
    )
    store_endpoint: HttpAddress | None = Field(
        None,
        description="The address of the object store's server, where it is not AWS; `AWS_ENDPOINT_URL_S3` and "
        "`AWS_ENDPOINT_URL` say it too.",
    )
    models: Path = Field(Path("models"), description="Folder for models.")

    @model_validator(mode="before")
    @classmethod
    def _name_the_store(cls, values: dict[str, object]) -> dict[str, object]:
        """Take an address given as `data` for the store, with a folder of the cache as its copy."""
        data = values.get("data") if isinstance(values, dict) else None
        if not isinstance(data, str) or not is_address(data):
            return values
        if fault := fault_of_address(data):
            raise ValueError(f"data = {public_address(data)!r}: {fault}")
        if values.get("store"):
            raise ValueError("data and store both name an object store; name a folder as data")
        return values | {"data": default_mirror(data), "store": data}

    @field_validator("store")
    @classmethod
    def _require_store(cls, store: SecretAddress | None) -> SecretAddress | None:
        if store is not None and (fault := fault_of_address(store.get_secret_value())):
            raise ValueError(fault)
        return store
