"""What the batch run learned about joining the rankings of a collection: `fusion.json` beside its indexes.

Batch and online read the same file, so that an anticipated question and a live one are ranked alike. It holds as long
as the configured weights are those that learning started from: a person who sets others gets those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rag.errors import IndexUnusableError
from rag.retrieval.fusion import FusionWeights
from rag.settings import RetrievalSettings

FUSION = "fusion.json"


@dataclass(frozen=True)
class CollectionFusion:
    """The weights of a collection and what they rest on.

    `source` is golden or proposed, the kind of questions; `unlocated` ones have no passage that is known to be right.
    `figures` are recall at 1, 3, 5 and 10 and the MRR on them: of each half alone, with the configured and with the
    learned weights. `as_good_as_halves` says that the latter are at none of these depths below either half.
    """

    weights: FusionWeights
    configured: FusionWeights
    reason: str
    source: str = ""
    questions: int = 0
    unlocated: int = 0
    as_good_as_halves: bool = False
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """Return what the manifest states."""
        return asdict(self)

    def save(self, folder: Path) -> None:
        """Write `fusion.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FUSION).write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")


def configured_weights(settings: RetrievalSettings) -> FusionWeights:
    """Return the weights of the configuration."""
    return FusionWeights(settings.dense_weight, settings.lexical_weight)


def read_fusion(folder: Path) -> CollectionFusion | None:
    """Read `fusion.json`; None in a release that was built without it.

    Raises:
        IndexUnusableError: it is torn.
    """
    path = folder / FUSION
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        weights, configured = (FusionWeights(**found.pop(name)) for name in ("weights", "configured"))
        return CollectionFusion(weights, configured, **found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IndexUnusableError(f"{path}: can't be read ({error}); build the release again") from error


def read_weights(folder: Path, settings: RetrievalSettings) -> FusionWeights:
    """Return the learned weights of a collection, or the configured ones if nothing was learned from these.

    Raises:
        IndexUnusableError: `fusion.json` is torn.
    """
    configured = configured_weights(settings)
    found = read_fusion(folder) if settings.learn_fusion else None
    return found.weights if found is not None and found.configured == configured else configured
