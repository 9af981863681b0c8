"""The promise of a certificate, by simulation: the true error stays below the tolerated error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import CalibrationError
from rag.paraphrase.calibration import (
    ScoredPair,
    calibrate,
    calibration_hash,
    connected_groups,
    design_effect,
    loosest,
    recompute,
    split,
    upper_bound,
)


def drawn_pairs(seed: int, count: int = 2000) -> list[ScoredPair]:
    """Pairs whose chance of being wrong is 0.3 * (1 - score)."""
    random = np.random.default_rng(seed)
    drawn = zip(random.random(count).tolist(), random.random(count).tolist(), strict=True)
    return [ScoredPair(f"a{n}", f"b{n}", luck > 0.3 * (1 - score), score) for n, (score, luck) in enumerate(drawn)]


def true_error(threshold: float) -> float:
    return 0.3 * (1 - threshold) / 2


@pytest.mark.parametrize(
    ("errors", "accepted", "confidence", "expected"),
    [(0, 100, 0.95, 0.02951), (5, 100, 0.95, 0.10225), (0, 59, 0.95, 0.04951), (10, 50, 0.975, 0.33718)],
)
def test_the_bound_is_the_exact_binomial_one(errors: int, accepted: int, confidence: float, expected: float) -> None:
    assert upper_bound(errors, accepted, confidence) == pytest.approx(expected, abs=1e-4)


def test_the_bound_is_one_without_acceptances() -> None:
    assert upper_bound(0, 0, 0.95) == 1.0
    assert upper_bound(3, 3, 0.95) == 1.0


@given(st.integers(0, 60), st.integers(1, 400), st.floats(0.5, 0.999))
def test_the_bound_is_above_the_rate_and_grows_with_errors(errors: int, more: int, confidence: float) -> None:
    accepted = errors + more
    bound = upper_bound(errors, accepted, confidence)
    assert errors / accepted <= bound <= 1
    assert bound <= upper_bound(errors + 1, accepted, confidence)


def drawn_scores(seed: int, siblings: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same as arrays, in 2000 groups: scores, whether a hit is wrong, groups."""
    random = np.random.default_rng(seed)
    scores = random.random(2000)
    wrong = random.random(2000) < 0.3 * (1 - scores)
    return np.repeat(scores, siblings), np.repeat(wrong, siblings), np.repeat(np.arange(2000), siblings)


@pytest.mark.parametrize("siblings", [1, 4])
@pytest.mark.parametrize("tolerated", [0.08, 0.1])
def test_the_promise_holds_in_at_least_95_of_100_draws(tolerated: float, siblings: int) -> None:
    found = [loosest(*drawn_scores(seed, siblings), tolerated) for seed in range(100)]
    kept = [each is None or true_error(each.threshold) <= tolerated for each in found]
    assert sum(kept) >= 95
    assert sum(each is not None for each in found) >= 80  # and it does not refuse everything


def test_scanning_without_the_correction_would_break_the_promise() -> None:
    """The control: the loosest threshold that looks good, without a bound, fails about every other time."""
    broken = 0
    for seed in range(100):
        scores, wrong, _ = drawn_scores(seed, 1)
        order = np.argsort(-scores)
        errors = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
        broken += true_error(float(scores[order[np.flatnonzero(errors <= 0.1)[-1]]])) > 0.1
    assert broken > 20


def test_a_tolerated_error_of_one_accepts_everything() -> None:
    assert calibrate(drawn_pairs(1), 1.0).accepted == 2000


def test_noise_above_the_tolerated_error_certifies_nothing() -> None:
    random = np.random.default_rng(0)
    pairs = [ScoredPair(f"a{n}", f"b{n}", bool(random.random() > 0.08), float(random.random())) for n in range(3000)]
    certificate = calibrate(pairs, 0.02)
    assert (certificate.threshold, certificate.accepted, certificate.bound) == (None, 0, 1.0)
    assert calibrate(pairs, 0.15).threshold is not None


def test_a_tolerated_error_of_zero_certifies_nothing() -> None:
    assert calibrate(drawn_pairs(1), 0.0).threshold is None


@pytest.mark.parametrize("tolerated", [-0.1, 1.1, math.nan])
def test_a_tolerated_error_outside_0_to_1_is_refused(tolerated: float) -> None:
    with pytest.raises(CalibrationError, match="from 0 to 1"):
        calibrate(drawn_pairs(1), tolerated)


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(CalibrationError, match="at least 50"):
        calibrate(drawn_pairs(1)[:49], 0.1)


def test_a_pair_refused_by_a_guard_is_never_accepted() -> None:
    pairs = [replace(each, score=-math.inf) for each in drawn_pairs(1, 400)]
    assert calibrate(pairs, 1.0).threshold is None


def test_a_larger_tolerated_error_never_accepts_less() -> None:
    accepted = [calibrate(drawn_pairs(3), tolerated).accepted for tolerated in (0.02, 0.05, 0.1, 0.2)]
    assert accepted == sorted(accepted)


def test_the_counts_are_those_of_the_threshold() -> None:
    pairs = drawn_pairs(4)
    certificate = calibrate(pairs, 0.1)
    assert certificate.threshold is not None
    taken = [each for each in pairs if each.score >= certificate.threshold]
    assert (certificate.accepted, certificate.errors) == (len(taken), sum(not each.same for each in taken))
    assert certificate.errors / certificate.accepted <= certificate.bound <= 0.1


def test_ties_are_accepted_or_refused_together() -> None:
    scores = np.repeat([0.9, 0.5], [300, 300])
    wrong = np.r_[np.zeros(300, bool), np.ones(300, bool)]
    best = loosest(scores, wrong, np.arange(600), 0.1)
    assert best is not None
    assert best.threshold == 0.9


def test_a_certificate_can_be_recomputed_in_any_order_of_pairs() -> None:
    pairs = drawn_pairs(5)
    certificate = calibrate(pairs, 0.1)
    assert recompute(certificate, pairs[::-1]) == certificate


def test_recomputing_from_other_pairs_or_labels_is_refused() -> None:
    pairs = drawn_pairs(5)
    certificate = calibrate(pairs, 0.1)
    with pytest.raises(CalibrationError, match="the certificate names"):
        recompute(certificate, pairs[1:])
    with pytest.raises(CalibrationError, match="the certificate names"):
        recompute(certificate, [replace(pairs[0], same=not pairs[0].same), *pairs[1:]])
    assert calibration_hash(pairs) != calibration_hash(pairs[1:])


EDGES = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=60)


@given(EDGES)
def test_pairs_that_share_a_question_are_in_one_group(edges: list[tuple[int, int]]) -> None:
    groups = connected_groups(edges)
    for (a, b), one in zip(edges, groups, strict=True):
        for (c, d), other in zip(edges, groups, strict=True):
            if {a, b} & {c, d}:
                assert one == other


@given(EDGES, st.integers(0, 9))
def test_no_question_is_on_two_sides_of_a_split(edges: list[tuple[int, int]], seed: int) -> None:
    parts = split(connected_groups(edges), (0.5, 0.25, 0.25), seed)
    sides: dict[int, set[int]] = {}
    for (a, b), part in zip(edges, parts, strict=True):
        sides.setdefault(a, set()).add(int(part))
        sides.setdefault(b, set()).add(int(part))
    assert all(len(found) == 1 for found in sides.values())
    assert list(parts) == list(split(connected_groups(edges), (0.5, 0.25, 0.25), seed))


def test_errors_in_one_group_count_less_than_independent_ones() -> None:
    errors = np.repeat(np.array([True, False, False, False]), 10)
    assert design_effect(errors, np.repeat(np.arange(4), 10)) == pytest.approx(10)
    assert design_effect(errors, np.arange(40)) == 1
