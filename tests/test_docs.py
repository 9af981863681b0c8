"""The reference that is written from the code is the one that is committed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "function"), [("cli.md", "cli_reference"), ("configuration.md", "configuration_reference")]
)
def test_reference_is_up_to_date(reference: ModuleType, name: str, function: str) -> None:
    committed = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert committed == getattr(reference, function)(), f"docs/{name} is out of date; run `make docs`"


def test_every_setting_is_documented(reference: ModuleType) -> None:
    assert "| None |" not in reference.configuration_reference()
