"""What the tests of several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A property holds or not, however busy the machine is.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """The repository's own models folder: what is pulled once serves every later test run and the demo."""
    return ROOT / "models"


@pytest.fixture(scope="session")
def encoder_folder(models_folder: Path) -> Path:
    """The example's encoder with its ONNX form; the first use converts it (about half a minute)."""
    from batch.convert_models import pull

    return pull("all-minilm-l6-v2", models_folder).path
