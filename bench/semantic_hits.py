"""Semantic hits on labelled pairs: our verifier beside a static cosine threshold and vCache's policy.

    python bench/semantic_hits.py PAIRS.jsonl.gz ENCODER_FOLDER [--splits 100] [--vectors CACHE.npz] \\
        [--cases tests/rag/paraphrase/lookalikes.jsonl tests/rag/paraphrase/paraphrases.jsonl]

Prints JSON lines. Half of the connected groups train the model, once. The other half is dealt 100 times into
a side that chooses thresholds and a side that is reported, by connected question, so that no threshold is
chosen on what it is reported on. Two measures (both on judged questions only, the rest is reported apart):
"pairs" accepts or refuses given pairs, and its hit rate is the share of the same-pairs that are accepted;
"cache" takes one side of the pairs as the anticipated questions and asks the other side, and its hit rate is
the share of the judged questions that hit. `choice` says how a threshold was chosen: "certified" with the
bound that the service uses, "plain" as the loosest that looks good on the choosing side (no promise).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batch.verifier.labelled_pairs import LabelledPair, read_pairs
from batch.verifier.training import Embed, compare, feature_rows, fit
from bench.cleaned_pairs import cleaned
from bench.vcache import VCache
from rag.identity import normalise
from rag.paraphrase.calibration import Certificate, connected_groups, loosest, split
from rag.paraphrase.verifier import Candidate, Verifier
from rag.retrieval.embedding import OnnxEncoder

TOLERATED = (0.05, 0.1, 0.15, 0.2)
NEIGHBOURS = 3
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What is decided: a row each, its connected group, whether a hit is right, and each method's score."""

    groups: NDArray[np.int64]
    right: NDArray[np.bool_]
    scores: dict[str, Scores]
    base: NDArray[np.bool_]  # the rows that the hit rate is a share of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, nargs="?")
    parser.add_argument("encoder", type=Path, nargs="?")
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vectors", type=Path, help="keep the vectors of the questions in this file")
    parser.add_argument("--cases", type=Path, nargs="*", default=[], help="JSON lines: asked, anticipated, similarity")
    asked = parser.parse_args()
    if asked.pairs is None or asked.encoder is None or not asked.pairs.exists():
        emit(skipped="no file of labelled pairs, or no encoder, was given")
        return
    pairs, rejects = read_pairs(asked.pairs)
    embed = embedder(pairs, asked.encoder, asked.vectors)
    emit(pairs=len(pairs), rejected=len(rejects), same=round(sum(p.same for p in pairs) / len(pairs), 3))
    groups = connected_groups((p.first, p.second) for p in pairs)
    half = split(groups, (0.5, 0.5), asked.seed)
    started = time.perf_counter()
    verifier = fit([p for p, side in zip(pairs, half, strict=True) if side == 0], [], embed, asked.seed)
    emit(trained_seconds=round(time.perf_counter() - started, 1), trained_on=int((half == 0).sum()))
    rest = [p for p, side in zip(pairs, half, strict=True) if side == 1]
    for path in asked.cases:
        hard_cases(verifier, path)
    report("pairs", as_pairs(rest, verifier, embed), asked.splits)
    report("cache", as_cache(rest, verifier, embed), asked.splits)
    stream(rest, verifier, embed, asked.seed)
    neat = cleaned(pairs)
    half = split(connected_groups((p.first, p.second) for p in neat), (0.5, 0.5), asked.seed)
    verifier = fit([p for p, side in zip(neat, half, strict=True) if side == 0], [], embed, asked.seed)
    rest = [p for p, side in zip(neat, half, strict=True) if side == 1]
    emit(cleaned=len(neat), dropped=len(pairs) - len(neat), trained_on=int((half == 0).sum()))
    report("pairs, cleaned", as_pairs(rest, verifier, embed), asked.splits, (0.01, 0.02, 0.03, *TOLERATED))


def emit(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def embedder(pairs: list[LabelledPair], folder: Path, kept: Path | None) -> Embed:
    """Return an embedder that looks the pairs' questions up, and embeds others as they come."""
    texts = sorted({text for pair in pairs for text in (pair.first, pair.second)})
    encoder = OnnxEncoder.load(folder)
    known: dict[str, NDArray[np.float32]] = {}
    if kept is not None and kept.exists():
        stored = np.load(kept, allow_pickle=False)
        known = dict(zip(stored["texts"].tolist(), stored["vectors"], strict=True))

    def embed(wanted: list[str]) -> NDArray[np.float32]:
        missing = [text for text in wanted if text not in known]
        known.update(zip(missing, encoder.embed(missing), strict=True))
        return np.stack([known[text] for text in wanted])

    embed(texts)
    if kept is not None:
        np.savez(kept, texts=np.array(list(known)), vectors=np.stack(list(known.values())))
    return embed


def as_pairs(pairs: list[LabelledPair], verifier: Verifier, embed: Embed) -> Measured:
    compared = compare(pairs, embed)
    same = np.array([pair.same for pair in pairs])
    return Measured(
        groups=np.array(connected_groups((p.first, p.second) for p in pairs)),
        right=same,
        scores={"cosine": np.array([each.similarity for each in compared]), "verifier": scored(verifier, compared)},
        base=same,
    )


def scored(verifier: Verifier, compared: list[Any]) -> Scores:
    assert verifier.trees is not None
    margins = verifier.trees.margin(feature_rows(compared, verifier.vocabulary))
    return np.where([each.guarded for each in compared], -np.inf, margins)


def as_cache(pairs: list[LabelledPair], verifier: Verifier, embed: Embed) -> Measured:
    """Ask each first question; the second questions are anticipated. An exact hit is no semantic hit."""
    judged = Judged(pairs)
    asked, anticipated = sorted({p.first for p in pairs}), sorted({p.second for p in pairs})
    near, similarity = neighbours(embed(asked), embed(anticipated))
    rows = [
        LabelledPair(text, anticipated[j], judged(text, anticipated[j]) is True)
        for text, nearest in zip(asked, near, strict=True)
        for j in nearest
    ]
    ours = scored(verifier, compare(rows, embed)).reshape(near.shape)
    exact = np.array(
        [
            any(normalise(a) == normalise(anticipated[j]) for j in nearest)
            for a, nearest in zip(asked, near, strict=True)
        ]
    )
    best = ours.argmax(axis=1)
    verdicts = [[judged(a, anticipated[j]) for j in nearest] for a, nearest in zip(asked, near, strict=True)]
    first = [row[0] for row in verdicts]
    chosen = [row[k] for row, k in zip(verdicts, best, strict=True)]
    kept = ~exact & np.array([verdict is not None for verdict in first])
    emit(
        measure="cache", anticipated=len(anticipated), asked=len(asked), exact=int(exact.sum()),
        nearest_unjudged=int((~kept & ~exact).sum()), judged=int(kept.sum()),
    )  # fmt: skip
    groups = connected_groups((p.first, p.second) for p in pairs)
    number = {pair.first: group for pair, group in zip(pairs, groups, strict=True)}
    # where the verifier prefers a neighbour that no one judged, it is taken at its word on the nearest one
    ours_best = np.array([ours[n, best[n]] if chosen[n] is not None else ours[n, 0] for n in range(len(asked))])
    ours_right = np.array([(chosen[n] if chosen[n] is not None else first[n]) is True for n in range(len(asked))])
    picked = np.flatnonzero(kept)
    return Measured(
        groups=np.array([number[text] for text in asked])[picked],
        right=np.stack([np.array([v is True for v in first]), ours_right])[:, picked],
        scores={"cosine": similarity[picked, 0], "verifier": ours_best[picked]},
        base=np.ones(len(picked), bool),
    )


class Judged:
    """Says of two questions True (the same), False (different) or None (no one judged them)."""

    def __init__(self, pairs: list[LabelledPair]) -> None:
        same = [p for p in pairs if p.same]
        groups = connected_groups((p.first, p.second) for p in same)
        self._group = {t: g for p, g in zip(same, groups, strict=True) for t in (p.first, p.second)}
        self._label = {frozenset((p.first, p.second)): p.same for p in pairs}

    def __call__(self, one: str, other: str) -> bool | None:
        """Judge two questions."""
        label = self._label.get(frozenset((one, other)))
        if label is None and one in self._group and self._group[one] == self._group.get(other):
            return True
        return label


def neighbours(asked: Any, anticipated: Any) -> tuple[NDArray[np.int64], Scores]:
    near, similarity = [], []
    for start in range(0, len(asked), 1000):
        cosine = asked[start : start + 1000] @ anticipated.T
        best = np.argpartition(-cosine, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        values = np.take_along_axis(cosine, best, axis=1)
        order = np.argsort(-values, axis=1)
        near.append(np.take_along_axis(best, order, axis=1))
        similarity.append(np.take_along_axis(values, order, axis=1))
    return np.concatenate(near), np.concatenate(similarity)


def report(measure: str, found: Measured, splits: int, tolerated: tuple[float, ...] = TOLERATED) -> None:
    for level in tolerated:
        for choice, choose in (("certified", certified), ("plain", plain)):
            for n, (method, scores) in enumerate(found.scores.items()):
                right = found.right if found.right.ndim == 1 else found.right[n]
                outcomes = [one_split(found, right, scores, level, choose, seed) for seed in range(splits)]
                rates, errors = zip(*outcomes, strict=True)
                judged = [error for error in errors if error is not None]
                emit(
                    measure=measure, tolerated=level, choice=choice, method=method,
                    hit_rate=round(float(np.mean(rates)), 4),
                    error=round(float(np.mean(judged)), 4) if judged else None,
                    kept=sum(error is None or error <= level for error in errors), splits=splits,
                )  # fmt: skip


Choose = Callable[[Scores, NDArray[np.bool_], NDArray[np.int64], float], float]


def one_split(
    found: Measured, right: NDArray[np.bool_], scores: Scores, level: float, choose: Choose, seed: int
) -> tuple[float, float | None]:
    """Choose on one side, report on the other: (hit rate, error among the accepted or None)."""
    side = split([int(g) for g in found.groups], (0.5, 0.5), 1000 + seed)
    here, there = side == 0, side == 1
    threshold = choose(scores[here], ~right[here], found.groups[here], level)
    accepted = scores[there] >= threshold
    hits = (accepted & found.base[there]).sum() / max(found.base[there].sum(), 1)
    return float(hits), float((~right[there])[accepted].mean()) if accepted.any() else None


def certified(scores: Scores, wrong: NDArray[np.bool_], groups: NDArray[np.int64], level: float) -> float:
    best = loosest(scores, wrong, groups, level)
    return best.threshold if best else np.inf


def plain(scores: Scores, wrong: NDArray[np.bool_], _: NDArray[np.int64], level: float) -> float:
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    errors = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((errors <= level) & (np.arange(1, len(order) + 1) >= 50))
    return float(scores[order[good[-1]]]) if len(good) else np.inf


def hard_cases(verifier: Verifier, path: Path) -> None:
    """Count what gets through at a score of one half, which is looser than any threshold of use."""
    loosely = replace(verifier, certificates=(Certificate(0.5, 0.5, 0, 0, 0, 0.5, 0.95, ""),))
    cases = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    decisions = [
        loosely.decide(case["asked"], [Candidate(case["anticipated"], "key", case["similarity"])], 0.5)
        for case in cases
    ]
    started = time.perf_counter()
    for case in cases:
        loosely.decide(case["asked"], [Candidate(case["anticipated"], "key", case["similarity"])], 0.5)
    emit(
        set=path.stem, cases=len(cases), accepted=sum(each.accepted for each in decisions),
        milliseconds_a_pair=round((time.perf_counter() - started) / len(cases) * 1000, 3),
    )  # fmt: skip


def stream(pairs: list[LabelledPair], verifier: Verifier, embed: Embed, seed: int, requests: int = 12_000) -> None:
    """Ask a stream with repeats of three caches that begin empty and take in what they miss.

    Each question comes about six times. One that is cached word for word is an exact hit and not counted; of
    the other requests, `hit_rate` is the share that hit, and `error` the share of the judged hits that are
    wrong. The thresholds come from one half of the groups, the stream from the other.
    """
    groups = connected_groups((p.first, p.second) for p in pairs)
    side = split(groups, (0.5, 0.5), 77 + seed)
    choosing = as_pairs([p for p, s in zip(pairs, side, strict=True) if s == 0], verifier, embed)
    asked = [p for p, s in zip(pairs, side, strict=True) if s == 1]
    judged = Judged(asked)
    texts = drawn(asked, requests, seed)
    vectors = dict(zip(sorted(set(texts)), embed(sorted(set(texts))), strict=True))
    for level in (0.1, 0.15):
        for method in ("cosine", "verifier"):
            threshold = certified(choosing.scores[method], ~choosing.right, choosing.groups, level)
            outcome = run(texts, vectors, judged, Fixed(method, threshold, verifier))
            emit(measure="stream", tolerated=level, method=method, choice="certified", **outcome)
        outcome = run(texts, vectors, judged, Adaptive(VCache(level, seed)))
        emit(measure="stream", tolerated=level, method="vcache", **outcome)


def drawn(pairs: list[LabelledPair], requests: int, seed: int) -> list[str]:
    """Draw requests evenly from the questions of random connected groups, some 2,000 questions in all."""
    members: dict[int, set[str]] = {}
    for pair, group in zip(pairs, connected_groups((p.first, p.second) for p in pairs), strict=True):
        members.setdefault(group, set()).update((pair.first, pair.second))
    random = np.random.default_rng(seed)
    ordered = [sorted(each) for each in members.values()]
    pool: list[str] = []
    for n in random.permutation(len(ordered)):
        pool += ordered[n]
        if len(pool) >= 2000:
            break
    return [pool[n] for n in random.integers(len(pool), size=requests)]


class Fixed:
    """A policy with one threshold on one score."""

    def __init__(self, method: str, threshold: float, verifier: Verifier) -> None:
        self._method, self._threshold, self._verifier = method, threshold, verifier

    def hits(self, text: str, cached: str, entry: int, similarity: float, right: bool) -> bool:  # noqa: ARG002
        """Say whether to answer from the entry; a miss tells whether it would have been right."""
        if self._method == "cosine":
            return similarity >= self._threshold
        decision = self._verifier.decide(text, [Candidate(cached, "key", min(similarity, 1.0))], 0.5)
        margin = (
            np.log(decision.score / max(1 - decision.score, 1e-12)) if decision.reason == "not_certified" else -np.inf
        )
        return bool(margin >= self._threshold)


class Adaptive:
    """vCache: the entry decides whether to explore; what it explores, it learns from."""

    def __init__(self, policy: VCache) -> None:
        self._policy = policy

    def hits(self, text: str, cached: str, entry: int, similarity: float, right: bool) -> bool:  # noqa: ARG002
        """Say whether to answer from the entry; a miss tells whether it would have been right."""
        if not self._policy.explores(entry, similarity):
            return True
        self._policy.observe(entry, similarity, right)
        return False


def run(texts: list[str], vectors: dict[str, Any], judged: Judged, policy: Fixed | Adaptive) -> dict[str, Any]:
    stored = np.zeros((len(set(texts)), len(next(iter(vectors.values())))), np.float32)
    cached: list[str] = []
    known: set[str] = set()
    counts = dict.fromkeys(("asked", "hits", "wrong", "unjudged"), 0)
    for text in texts:
        if text in known:
            continue
        counts["asked"] += 1
        entry = int((stored[: len(cached)] @ vectors[text]).argmax()) if cached else -1
        if entry >= 0:
            verdict = judged(text, cached[entry])
            similarity = float(stored[entry] @ vectors[text])
            if policy.hits(text, cached[entry], entry, similarity, verdict is True):
                counts["hits"] += 1
                counts["wrong"] += verdict is False
                counts["unjudged"] += verdict is None
                continue
        stored[len(cached)] = vectors[text]
        cached.append(text)
        known.add(text)
    certain = counts["hits"] - counts["unjudged"]
    rates = {"hit_rate": round(counts["hits"] / counts["asked"], 4)}
    return {**counts, **rates, "error": round(counts["wrong"] / certain, 4) if certain else None}


if __name__ == "__main__":
    main()
