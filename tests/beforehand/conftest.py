"""The front door is tested on a small published release, made as the warehouse's tests make it."""

from tests.warehouse.conftest import publish_rows, rows

__all__ = ["publish_rows", "rows"]
