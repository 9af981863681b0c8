"""The memory that a run may take: the sizes of its pieces, and an index that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch import memory
from batch.memory import memory_bytes, pieces, refuse_large_index
from batch.settings import BatchSettings
from rag.errors import ConfigurationError


def test_the_default_is_half_of_what_the_container_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1000000000\n")
    monkeypatch.setattr(memory, "_CGROUP", limit)

    assert memory_bytes(BatchSettings()) == 500_000_000


def test_a_container_without_a_limit_has_what_the_machine_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP", limit)
    machine = memory_bytes(BatchSettings())
    limit.write_text("max\n")

    assert memory_bytes(BatchSettings()) == machine > 0


def test_pieces_shrink_with_the_memory() -> None:
    small, usual, large = (pieces(BatchSettings(memory_gb=each)) for each in (0.5, 2, 64))

    assert small.chunks < usual.chunks and small.questions < usual.questions and small.prompts < usual.prompts
    assert usual == large


def refusal(memory_gb: float, vectors: int) -> str | None:
    """Return why there is no room for an index, or None where there is."""
    try:
        refuse_large_index(BatchSettings(memory_gb=memory_gb), "the index of the collection help", vectors, 384)
    except ConfigurationError as error:
        return str(error)
    return None


def test_an_index_that_fits_is_not_refused() -> None:
    assert refusal(1, 100_000) is None


def test_an_index_without_room_is_refused_with_what_it_takes() -> None:
    refused = refusal(1, 1_000_000)

    assert refused is not None and "memory_gb = 1: the index of the collection help has 1,000,000 vectors" in refused
    wanted = float(refused.split("set at least ")[1].split(",")[0])
    assert refusal(wanted, 1_000_000) is None
