"""Training of the verifier of semantic hits on labelled pairs, and certificates for its thresholds on others.

The pairs are split by connected question: 70 % train, 30 % calibrate, and no question is on both sides. Training adds
look-alikes of the anticipated questions and of the training pairs as pairs that differ (`batch.verifier.lookalikes`).
The model is stacked: a sparse logistic regression over the differing words gives the feature "clues", made out of
fold so that it does not flatter itself, and gradient-boosted trees of depth 4 weigh it with the other features.
Scikit-learn trains; plain arrays are stored, which `rag` evaluates. A cross-encoder was not worth its milliseconds:
see docs/semantic-hits.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batch.verifier.labelled_pairs import LabelledPair
from batch.verifier.lookalikes import opposites
from rag.errors import CalibrationError
from rag.identity import stable_hash
from rag.paraphrase.alignment import align
from rag.paraphrase.boosted_trees import BoostedTrees
from rag.paraphrase.calibration import (
    CONFIDENCE,
    Certificate,
    ScoredPair,
    calibrate,
    connected_groups,
    recompute,
    split,
)
from rag.paraphrase.features import FEATURES, Vocabulary, clues, features
from rag.paraphrase.guards import objection
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion
from rag.paraphrase.question_parser import parse
from rag.paraphrase.verifier import Verifier

TOLERATED_ERRORS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
_TRAIN = 0.7  # share of the pairs; the others calibrate
_FEWEST = 200  # pairs; with fewer, the default verifier is better
_MOST_OPPOSITES = 2000
_FOLDS = 4
_DEPTH, _TREES = 4, 220
_NEVER = 1e9  # no feature is larger

Embed = Callable[[list[str]], NDArray[np.float32]]
FeatureTable = NDArray[np.float64]
Sklearn = Any  # scikit-learn's own objects are not typed


@dataclass(frozen=True)
class Compared:
    """A pair of parsed questions, from which its features are computed."""

    first: ParsedQuestion
    second: ParsedQuestion
    alignment: Alignment
    similarity: float
    guarded: bool
    same: bool


def train(
    pairs: Sequence[LabelledPair],
    questions: Sequence[str],
    embed: Embed,
    *,
    tolerated_errors: Sequence[float] = TOLERATED_ERRORS,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Verifier:
    """Train on labelled pairs, and on look-alikes of the anticipated `questions`.

    `embed` returns the vectors of n texts, as rows of float32. The same input and seed give the same verifier.

    Raises:
        CalibrationError: there are fewer than 200 pairs, or all have one label.
    """
    if len(pairs) < _FEWEST or len({pair.same for pair in pairs}) < 2:
        raise CalibrationError(
            f"{len(pairs)} labelled pairs can't train a verifier; it takes at least {_FEWEST}, some the same and "
            "some different. Leave the file out to use the default verifier"
        )
    learning, held_out = divide(pairs, seed)
    model = fit(learning, questions, embed, seed)
    scored = score_pairs(model, held_out, embed)
    certificates = tuple(calibrate(scored, each, confidence) for each in sorted({*tolerated_errors, 0.0}))
    details = {
        "training_pairs": len(learning),
        "calibration_pairs": len(held_out),
        "labelled_pairs_hash": pairs_hash(pairs),
        "seed": seed,
    }
    return Verifier(model.trees, model.vocabulary, certificates, details)


def divide(pairs: Sequence[LabelledPair], seed: int) -> tuple[list[LabelledPair], list[LabelledPair]]:
    """Split into pairs for training and pairs for calibration; no question is on both sides."""
    ordered = sorted(pairs, key=lambda pair: (pair.first, pair.second, pair.same))
    parts = split(connected_groups((pair.first, pair.second) for pair in ordered), (_TRAIN, 1 - _TRAIN), seed)
    sides: tuple[list[LabelledPair], list[LabelledPair]] = ([], [])
    for pair, part in zip(ordered, parts, strict=True):
        sides[part].append(pair)
    return sides


def pairs_hash(pairs: Sequence[LabelledPair]) -> str:
    """Return the hash of labelled pairs, in any order."""
    return stable_hash("pairs", sorted([pair.first, pair.second, pair.same] for pair in pairs))


def fit(learning: Sequence[LabelledPair], questions: Sequence[str], embed: Embed, seed: int = 0) -> Verifier:
    """Train the model without certificates, so that it accepts nothing yet."""
    texts = sorted({text for pair in learning for text in (pair.first, pair.second)} | set(questions))
    opposed = _opposites(texts, questions, seed)
    compared = compare([*learning, *opposed], embed)
    groups = np.asarray(connected_groups((pair.first, pair.second) for pair in [*learning, *opposed]))
    rarity = _rarity(texts)
    named = [clues(each.first, each.second, each.alignment) for each in compared]
    same = np.array([each.same for each in compared])
    out_of_fold, weights = _clue_weights(named, same, groups, seed)
    rows = feature_rows(compared, Vocabulary(rarity))
    rows[:, FEATURES.index("clues")] = out_of_fold
    return Verifier(_boost(rows, same, seed), Vocabulary(rarity, weights))


def _opposites(texts: Sequence[str], questions: Sequence[str], seed: int) -> list[LabelledPair]:
    """Return look-alikes: of the anticipated questions first, then of the training pairs, up to a limit."""
    shuffled = list(np.random.default_rng(seed).permutation(len(texts)))
    found: list[LabelledPair] = []
    for text in [*questions, *(texts[i] for i in shuffled)]:
        if len(found) >= min(_MOST_OPPOSITES, len(texts)):
            break
        found += [LabelledPair(each.question, each.opposite, False) for each in opposites(text, seed)[:2]]
    return found


def compare(pairs: Sequence[LabelledPair], embed: Embed) -> list[Compared]:
    """Embed and parse the questions of each pair."""
    texts = sorted({text for pair in pairs for text in (pair.first, pair.second)})
    vectors = embed(texts)
    row = {text: i for i, text in enumerate(texts)}
    compared = []
    for pair in pairs:
        similarity = float(vectors[row[pair.first]] @ vectors[row[pair.second]])
        first, second = parse(pair.first), parse(pair.second)
        alignment = align(first, second)
        guarded = objection(first, second, alignment, similarity) is not None
        compared.append(Compared(first, second, alignment, similarity, guarded, pair.same))
    return compared


def feature_rows(compared: Sequence[Compared], vocabulary: Vocabulary) -> FeatureTable:
    """Return the features of each pair, shape (pairs, features)."""
    rows = np.empty((len(compared), len(FEATURES)))
    for n, each in enumerate(compared):
        found = features(each.first, each.second, each.alignment, each.similarity, each.guarded, vocabulary)
        rows[n] = [found[name] for name in FEATURES]
    return rows


def _rarity(texts: Sequence[str]) -> dict[str, float]:
    counts = Counter(stem for text in texts for stem in {token.stem for token in parse(text).content})
    total = max(len(texts), 2)
    found = {stem: round(math.log(total / count), 2) for stem, count in counts.items() if count > 2}
    return {**found, "": round(math.log(total), 2)}


def _clue_weights(
    named: Sequence[list[str]], same: NDArray[np.bool_], groups: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Return the clues' sums for the training pairs, made out of fold, and the clues' weights from all pairs."""
    from sklearn.feature_extraction import DictVectorizer

    counts = Counter(clue for each in named for clue in each)
    vectorizer = DictVectorizer()
    table = vectorizer.fit_transform([{clue: 1.0 for clue in each if counts[clue] > 2} for each in named])
    folds = split([int(group) for group in groups], [1 / _FOLDS] * _FOLDS, seed + 1)
    sums = np.zeros(len(same))
    for fold in range(_FOLDS):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(inside) and len(set(same[outside])) == 2:
            sums[inside] = table[inside] @ _regress(table[outside], same[outside])
    weights = _regress(table, same)
    kept = zip(vectorizer.get_feature_names_out(), weights, strict=True)
    return sums, {str(clue): round(float(weight), 3) for clue, weight in kept if abs(weight) >= 0.01}


def _regress(table: Sklearn, same: NDArray[np.bool_]) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression

    table.indices, table.indptr = table.indices.astype(np.int32), table.indptr.astype(np.int32)  # liblinear's
    model = LogisticRegression(C=0.1, solver="liblinear").fit(table, same)
    weights: NDArray[np.float64] = model.coef_[0]
    return weights


def _boost(rows: FeatureTable, same: NDArray[np.bool_], seed: int) -> BoostedTrees:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=_TREES, learning_rate=0.07, max_depth=_DEPTH, max_leaf_nodes=2**_DEPTH,
        min_samples_leaf=max(5, min(60, len(rows) // 100)), l2_regularization=5.0, random_state=seed,
        early_stopping=False,
    )  # fmt: skip
    model.fit(rows, same)
    return exported(model)


def exported(model: Sklearn) -> BoostedTrees:
    """Return scikit-learn's trees as complete trees of equal depth, which numpy evaluates together."""
    trees = [each[0].nodes for each in model._predictors]
    nodes = 2**_DEPTH - 1
    feature = np.zeros((len(trees), nodes), np.int32)
    threshold = np.full((len(trees), nodes), _NEVER)
    value = np.zeros((len(trees), nodes + 1))
    for n, tree in enumerate(trees):
        _copy(tree, 0, 0, feature[n], threshold[n], value[n])
    return BoostedTrees(feature, threshold, value, float(np.ravel(model._baseline_prediction)[0]))


def _copy(
    tree: Sklearn,
    source: int,
    target: int,
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    value: NDArray[np.float64],
) -> None:
    """Copy the subtree at `source` to node `target`; below a shallow leaf every path leads to its value."""
    node, nodes = tree[source], len(feature)
    if node["is_leaf"]:
        first, last = target, target
        while first < nodes:
            first, last = 2 * first + 1, 2 * last + 2
        value[first - nodes : last - nodes + 1] = node["value"]
        return
    feature[target], threshold[target] = node["feature_idx"], node["num_threshold"]
    _copy(tree, int(node["left"]), 2 * target + 1, feature, threshold, value)
    _copy(tree, int(node["right"]), 2 * target + 2, feature, threshold, value)


def score_pairs(verifier: Verifier, pairs: Sequence[LabelledPair], embed: Embed) -> list[ScoredPair]:
    """Score pairs as the service would: minus infinity if a guard objects."""
    if verifier.trees is None:
        raise CalibrationError("the default verifier has no scores to calibrate; train one on labelled pairs")
    compared = compare(pairs, embed)
    margins = verifier.trees.margin(feature_rows(compared, verifier.vocabulary))
    scores = np.where([each.guarded for each in compared], -np.inf, 1 / (1 + np.exp(-margins)))
    return [
        ScoredPair(pair.first, pair.second, pair.same, float(score)) for pair, score in zip(pairs, scores, strict=True)
    ]


def recomputed(
    verifier: Verifier, pairs: Sequence[LabelledPair], embed: Embed
) -> list[tuple[Certificate, Certificate]]:
    """Recompute each certificate of a stored verifier from the team's pairs: (stored, recomputed).

    Raises:
        CalibrationError: the verifier was trained and calibrated on other pairs.
    """
    seed = verifier.details.get("seed", 0)
    _, held_out = divide(pairs, seed if isinstance(seed, int) else 0)
    scored = score_pairs(verifier, held_out, embed)
    return [(stored, recompute(stored, scored)) for stored in verifier.certificates]
