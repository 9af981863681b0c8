"""Does a question ask the same thing as an anticipated one? Decides semantic hits.

Cosine alone can't tell: it ranks opposites above paraphrases. Three steps decide instead. Guards refuse pairs that
differ in number, name, negation, opposite or role, whatever the score (`rag.paraphrase.guards`). A small model,
gradient-boosted trees over `rag.paraphrase.features`, scores the rest; it is trained in the batch run
(`batch/verifier/training.py`) and evaluated in numpy, so the service needs neither torch nor scikit-learn. A certified
threshold turns the score into a decision (`rag.paraphrase.calibration`); where none is certified for the operator's
tolerated error, nothing is accepted. Figures are in docs/semantic-hits.md.

Without labelled pairs nothing can be certified: `Verifier.default` accepts only nearly identical wording.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from rag.errors import ModelError, OutdatedVerifierError
from rag.paraphrase.alignment import align
from rag.paraphrase.boosted_trees import BoostedTrees
from rag.paraphrase.calibration import Certificate, stricter_error, threshold_for
from rag.paraphrase.everyday import everyday_form
from rag.paraphrase.features import FEATURES, Vocabulary, features
from rag.paraphrase.foreign import is_foreign
from rag.paraphrase.guards import objection
from rag.paraphrase.lexicon import word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion
from rag.paraphrase.question_parser import parse
from rag.paraphrase.small_words import signs, small_words_differ
from rag.text.characters import script_of
from rag.text.languages import is_guarded, scripts

FORMAT = 5  # raised whenever features or guards change: a certificate is valid only for those it was calibrated with
_DEFAULT_SIMILARITY = 0.85
_SAME_TEXT_SIMILARITY = 0.6  # where the plain forms are the same but for plurals
_SHORTEST_PLURAL = 4  # letters
_MOST_FUNCTION_WORDS = 2  # beside a misspelling, which moves the vector far away
UNKNOWN_LANGUAGE = "language_not_guarded"
_GUARDED_SCRIPTS = scripts("en")
_MOST_FOREIGN = 0.2  # share of the letters


@dataclass(frozen=True)
class Candidate:
    """An anticipated question near the one asked; `similarity` is the cosine of their vectors."""

    question: str
    query_key: str
    similarity: float


@dataclass(frozen=True)
class Decision:
    """Whether a candidate was accepted, and why or why not.

    `reason` is "accepted", "no_candidates", "below_threshold", "not_certified", "degenerate_similarity" or the
    label of a guard: "numbers_differ", "units_differ", "dates_differ", "negation_differs", "antonyms",
    "names_differ", "roles_swapped", "directions_differ", "asks_differ", "code_differs", "content_differs",
    "quantifiers_differ", "tense_differs", "modality_differs", or "language_not_guarded" where nothing keeps different
    questions apart. `threshold` is infinite if nothing is certified. `features` and `query_key` are those of the
    accepted candidate, otherwise of the closest one.
    """

    accepted: bool
    score: float
    threshold: float
    reason: str
    features: Mapping[str, float] = field(default_factory=dict)
    query_key: str | None = None


class _Unread(Mapping[str, float]):
    """The features of a pair that was judged without them, computed when somebody looks."""

    def __init__(self, compute: Callable[[], Mapping[str, float]]) -> None:
        self._computed = functools.cache(compute)

    def __getitem__(self, name: str) -> float:
        return self._computed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._computed())

    def __len__(self) -> int:
        return len(self._computed())


@dataclass(frozen=True)
class Verifier:
    """A trained verifier, or the default one if `trees` is None."""

    trees: BoostedTrees | None = None
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    certificates: tuple[Certificate, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def default(cls) -> Verifier:
        """Return the verifier that needs no labelled pairs.

        It accepts a candidate only if no guard refuses it, each content word has a counterpart (the same word, an
        inflection or a listed synonym) and the cosine is at least 0.85. Nothing is certified: every tolerated
        error above 0 gives the same behaviour, and 0 switches semantic hits off.
        """
        return cls()

    def threshold(self, tolerated_error: float) -> float:
        """Return the threshold of the largest certified error that is tolerated, or infinity if there is none."""
        if self.trees is None:
            return 1.0 if tolerated_error > 0 else math.inf
        return threshold_for(self.certificates, tolerated_error)

    def knows(self, language: str) -> bool:
        """Whether it keeps questions in a language apart: by guards, or by a certificate on pairs in it."""
        return is_guarded(language) or (self.trees is not None and self.details.get("language") == language)

    def reads(self, text: str) -> bool:
        """Whether a text is in a language that it knows, by its words and scripts, but for a few foreign letters."""
        language = str(self.details.get("language", "en")) if self.trees else "en"
        if is_guarded(language) and is_foreign(text):
            return False
        if text.isascii():
            return True
        known = {*_GUARDED_SCRIPTS, *scripts(language)}
        letters = [script for character in text if (script := script_of(character))]
        return sum(script not in known for script in letters) <= _MOST_FOREIGN * len(letters)

    def stricter(self, tolerated_error: float) -> float | None:
        """Return the next smaller tolerated error that has a higher certified threshold, or None."""
        return stricter_error(self.certificates, tolerated_error)

    def decide(self, asked: str, candidates: Sequence[Candidate], tolerated_error: float) -> Decision:
        """Decide whether one of the candidates (best first) asks the same as `asked`.

        `tolerated_error` is a share from 0 to 1. The best-scoring candidate that no guard refuses is accepted if
        its score reaches the threshold; otherwise the reason is that of the closest candidate.
        """
        threshold = self.threshold(tolerated_error)
        if not candidates:
            return Decision(False, 0.0, threshold, "no_candidates")
        judged = [
            self._judge(asked, each, threshold)
            for place, each in enumerate(candidates)
            if not place or self.may_accept(asked, each)
        ]
        return max((each for each in judged if each.accepted), key=lambda each: each.score, default=judged[0])

    def may_accept(self, asked: str, candidate: Candidate) -> bool:
        """Whether it may accept a candidate, by its number of words: without trees each needs a counterpart."""
        if self.trees is not None:
            return True
        words, others = (parse(everyday_form(each)).content for each in (asked, candidate.question))
        return len(words) == len(others) or any("_" in token.word for token in (*words, *others))  # of several words

    def decide_pair(self, asked: str, candidate: Candidate, tolerated_error: float) -> Decision:
        """Decide about one candidate."""
        return self._judge(asked, candidate, self.threshold(tolerated_error))

    def _judge(self, asked: str, candidate: Candidate, threshold: float) -> Decision:
        if not -1.001 <= candidate.similarity <= 1.001:  # NaN included
            return Decision(False, 0.0, threshold, "degenerate_similarity", {}, candidate.query_key)
        plain = everyday_form if self.trees is None else str  # trees learn wordings from the labelled pairs
        first, second = parse(plain(asked)), parse(plain(candidate.question))
        alignment = align(first, second)
        reason = objection(first, second, alignment, candidate.similarity)
        if self.trees is None and reason is None and not alignment.left and not alignment.right:
            reason = small_words_differ(first, second, alignment)
        if asked != candidate.question and not (self.reads(asked) and self.reads(candidate.question)):
            reason = UNKNOWN_LANGUAGE
        compute = functools.partial(
            features, first, second, alignment, candidate.similarity, reason is not None, self.vocabulary
        )
        found: Mapping[str, float] = _Unread(compute) if self.trees is None else compute()
        score = (
            _default_score(first, second, alignment, candidate.similarity) if self.trees is None else self.score(found)
        )
        if reason is None and math.isinf(threshold):
            reason = "not_certified"
        if reason is None and score < threshold:
            reason = "below_threshold"
        return Decision(reason is None, score, threshold, reason or "accepted", found, candidate.query_key)

    def score(self, found: Mapping[str, float]) -> float:
        """Return the score of a trained verifier for a candidate's features, from 0 to 1; higher is more alike."""
        assert self.trees is not None
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
        """Load a verifier.

        Raises:
            OutdatedVerifierError: it is from another version of the verifier.
            ModelError: the file is missing or corrupt.
        """
        try:
            found = msgspec.json.decode(path.read_bytes())  # 3 ms for a large file; `json` takes 17
            if found["format"] != FORMAT or found["features"] != list(FEATURES):
                raise OutdatedVerifierError(
                    f"{path}: was made by another version of the verifier; build the release again"
                )
            return cls(
                trees=BoostedTrees.from_json(found["trees"]) if found["trees"] else None,
                vocabulary=Vocabulary(found["rarity"], found["clues"]),
                certificates=tuple(Certificate(**each) for each in found["certificates"]),
                details=found["details"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: can't be read as a verifier ({error}); build the release again") from error


def _default_score(first: ParsedQuestion, second: ParsedQuestion, alignment: Alignment, similarity: float) -> float:
    """Return 1 where the content words are the same and nothing speaks against it, else 0.

    The vectors have to be near, unless hardly more than misspellings differ, or the plain forms are one text.
    """
    if alignment.left or alignment.right:
        return 0.0
    differing = (alignment.left_words | alignment.right_words) & word_class("function")
    misspelt = alignment.misspelt > 0 and len(differing) <= _MOST_FUNCTION_WORDS
    alike = similarity >= _SAME_TEXT_SIMILARITY and _one_text(first) == _one_text(second)
    return float(misspelt or alike or similarity >= _DEFAULT_SIMILARITY)


def _one_text(question: ParsedQuestion) -> tuple[list[str], list[str]]:
    """Return the words without a plural's ending, and the signs."""
    words = [word.removesuffix("s") if len(word) > _SHORTEST_PLURAL else word for word in question.words]
    return words, signs(question.written)
