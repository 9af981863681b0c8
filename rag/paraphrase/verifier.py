"""Does a question that was asked say the same as one that was anticipated? The verified semantic hit.

A bare cosine can't tell: at 10 % error it accepts 15 % of the pairs that people judged the same, and puts
opposites above paraphrases. Here three things decide, in this order. Guards refuse what differs in number,
name, negation, opposite or role, whatever its score (`rag.paraphrase.guards`). A small model, gradient-boosted trees
over the features below, scores the rest; it is trained in the batch run (`batch/verifier/training.py`) and
evaluated here in numpy, so the service needs neither torch nor scikit-learn. A certified threshold turns the
score into a decision (`rag.paraphrase.calibration`): the operator names the error that is tolerated, and where no
threshold is certified for it, nothing is accepted. A decision takes 0.1 to 0.4 ms (docs/semantic-hits.md).

Without labelled pairs there is nothing to certify: `Verifier.default` accepts near-identical wording alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from rag.errors import ModelError
from rag.paraphrase.alignment import align
from rag.paraphrase.boosted_trees import BoostedTrees
from rag.paraphrase.calibration import Certificate
from rag.paraphrase.features import FEATURES, Vocabulary, features
from rag.paraphrase.guards import objection
from rag.paraphrase.question_parser import parse

FORMAT = 2  # goes up with the features and the guards: a certificate holds for what it was calibrated with
_DEFAULT_SIMILARITY = 0.85


@dataclass(frozen=True)
class Candidate:
    """An anticipated question near the asked one; `similarity` is the cosine of their vectors."""

    question: str
    query_key: str
    similarity: float


@dataclass(frozen=True)
class Decision:
    """What became of the candidates, and why.

    `reason` is "accepted", "no_candidates", "below_threshold", "not_certified", "degenerate_similarity" or the
    guard that spoke: "numbers_differ", "units_differ", "dates_differ", "negation_differs", "antonyms",
    "names_differ", "roles_swapped", "asks_differ", "content_differs", "quantifiers_differ", "tense_differs",
    "modality_differs". `threshold` is infinite where nothing is certified. `features` and `query_key` belong
    to the candidate that came closest.
    """

    accepted: bool
    score: float
    threshold: float
    reason: str
    features: dict[str, float] = field(default_factory=dict)
    query_key: str | None = None


@dataclass(frozen=True)
class Verifier:
    """A trained verifier, or the default one where `trees` is None."""

    trees: BoostedTrees | None = None
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    certificates: tuple[Certificate, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def default(cls) -> Verifier:
        """Return the one that needs no labelled pairs.

        It accepts a candidate only where no guard speaks, each content word has its counterpart (an
        inflection or a listed synonym at most) and the cosine is at least 0.85. Nothing is certified: any
        tolerated error above 0 gives this same behaviour, and 0 switches it off.
        """
        return cls()

    def threshold(self, tolerated_error: float) -> float:
        """Return the score to reach: of the largest certified error that is tolerated, or infinity."""
        if self.trees is None:
            return 1.0 if tolerated_error > 0 else math.inf
        certified = [
            each for each in self.certificates if each.threshold is not None and each.tolerated_error <= tolerated_error
        ]
        best = max(certified, key=lambda each: each.tolerated_error, default=None)
        return math.inf if best is None or best.threshold is None else best.threshold

    def stricter(self, tolerated_error: float) -> float | None:
        """Return the next smaller tolerated error with a certified threshold that is higher, or None."""
        now = self.threshold(tolerated_error)
        higher = [
            each.tolerated_error
            for each in self.certificates
            if each.tolerated_error < tolerated_error and each.threshold is not None and each.threshold > now
        ]
        return max(higher, default=None)

    def decide(self, asked: str, candidates: Sequence[Candidate], tolerated_error: float) -> Decision:
        """Decide whether one of the candidates (best first) asks the same as `asked`.

        `tolerated_error` is a share from 0 to 1. The candidate with the highest score that no guard refuses
        is taken if its score reaches the threshold; otherwise the reason is that of the closest candidate.
        """
        threshold = self.threshold(tolerated_error)
        if not candidates:
            return Decision(False, 0.0, threshold, "no_candidates")
        judged = [self._judge(asked, candidate, threshold) for candidate in candidates]
        return max((each for each in judged if each.accepted), key=lambda each: each.score, default=judged[0])

    def _judge(self, asked: str, candidate: Candidate, threshold: float) -> Decision:
        if not -1.001 <= candidate.similarity <= 1.001:  # NaN included
            return Decision(False, 0.0, threshold, "degenerate_similarity", {}, candidate.query_key)
        first, second = parse(asked), parse(candidate.question)
        alignment = align(first, second)
        reason = objection(first, second, alignment, candidate.similarity)
        found = features(first, second, alignment, candidate.similarity, reason is not None, self.vocabulary)
        score = self.score(found)
        if reason is None and math.isinf(threshold):
            reason = "not_certified"
        if reason is None and score < threshold:
            reason = "below_threshold"
        return Decision(reason is None, score, threshold, reason or "accepted", found, candidate.query_key)

    def score(self, found: Mapping[str, float]) -> float:
        """Score one candidate's features: from 0 to 1, higher for more alike."""
        if self.trees is None:
            same = found["unmatched_more"] == 0
            return 1.0 if same and found["cosine"] >= _DEFAULT_SIMILARITY else 0.0
        row = np.array([[found[name] for name in FEATURES]])
        return float(1 / (1 + np.exp(-self.trees.margin(row)[0])))

    def save(self, path: Path) -> None:
        """Write the verifier as one JSON file."""
        path.write_text(
            json.dumps(
                {
                    "format": FORMAT,
                    "features": list(FEATURES),
                    "trees": self.trees.as_json() if self.trees else None,
                    "rarity": dict(self.vocabulary.rarity),
                    "clues": dict(self.vocabulary.clues),
                    "certificates": [each.as_json() for each in self.certificates],
                    "details": dict(self.details),
                }
            ),
            encoding="utf-8",
        )

    @classmethod
    def load(cls, path: Path) -> Verifier:
        """Read a verifier.

        Raises:
            ModelError: the file is missing, torn, or of another version of the features.
        """
        try:
            found = msgspec.json.decode(path.read_bytes())  # a large one stops the process 3 ms, with `json` 17
            if found["format"] != FORMAT or found["features"] != list(FEATURES):
                raise ModelError(f"{path}: made by another version of the verifier; build a release anew")
            return cls(
                trees=BoostedTrees.from_json(found["trees"]) if found["trees"] else None,
                vocabulary=Vocabulary(found["rarity"], found["clues"]),
                certificates=tuple(Certificate(**each) for each in found["certificates"]),
                details=found["details"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: the verifier can't be read ({error}); build a release anew") from error
