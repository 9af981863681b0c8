"""Ports for servers that take a while to listen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from batch.child_process import hold_port


@contextmanager
def held_port() -> Iterator[int]:
    """Hold a free port during the block; a server that is told of it may listen there."""
    with hold_port("127.0.0.1", 0) as held:
        yield held.getsockname()[1]
