"""Reach: how many of a help desk's questions find their answer, beside cosine and vCache's policy.

    python bench/reach.py HELP_FOLDER ENCODER_FOLDER [--draws 100] [--known 1 5 20] [--half N]

Prints JSON lines. `known` wordings of each answer are drawn; then all rows marked `asked` are asked. A hit is right if
it is the row's own answer; a hit of a row without an answer is wrong. `right` is a share of the rows that have an
answer, `error` of all hits, `outside` of the rows without one; `kept` counts the draws with an error of at most 2 %. No
method sees a question before it is asked. "cosine" takes the loosest threshold at which the left-out wordings show at
most the tolerated error (as in GPTCache and LangCache, but with a threshold chosen for the data); "vcache" learns from
its own misses, each of which it is told the right answer of. `--half 0` or `1` learns the selector from one half of
the answers, as rag/selection/shipped.json is from all of them, and reports on the other half.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batch.selection.shipping import SETS, learn
from batch.selection.training import train_selector
from bench.vcache import VCache
from rag.paraphrase.verifier import Verifier
from rag.retrieval.embedding import OnnxEncoder
from rag.selection.evidence import Wordings, nearest
from rag.selection.selector import select
from rag.selection.shipped import ShippedSelector

TOLERATED = 0.02
Rows = tuple[list[str], list[str], NDArray[np.float32]]  # texts, answers ("" for none), vectors
Method = Callable[[Wordings, Rows, int, "ShippedSelector | None"], tuple[list[str], float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--known", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--half", type=int, choices=(0, 1))
    given = parser.parse_args()
    encoder = OnnxEncoder.load(given.encoder)
    sets = {name: read(given.folder / f"{name}.jsonl.gz", encoder) for name in SETS}
    shipped = None
    if given.half is not None:
        sides = {name: halves(known, asked) for name, (known, asked) in sets.items()}
        shipped = learn([as_wordings(both[given.half][0]) for both in sides.values()])
        sets = {name: both[1 - given.half] for name, both in sides.items()}
    for name, (known, asked) in sets.items():
        for count in given.known:
            for label, method in METHODS.items():
                report(name, count, label, method, known, asked, given.draws, shipped)


def read(path: Path, encoder: OnnxEncoder) -> tuple[Rows, Rows]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    vectors = encoder.embed([row["text"] for row in rows])
    found = []
    for part in ("known", "asked"):
        picked = [n for n, row in enumerate(rows) if row["part"] == part]
        found.append(([rows[n]["text"] for n in picked], [rows[n]["answer"] or "" for n in picked], vectors[picked]))
    return found[0], found[1]


def halves(known: Rows, asked: Rows) -> list[tuple[Rows, Rows]]:
    names = np.unique(known[1])
    side = dict(zip(names.tolist(), (np.random.default_rng(0).permutation(len(names)) % 2).tolist(), strict=True))
    return [(pick(known, lambda a, n=n: side[a] == n), pick(asked, lambda a, n=n: side.get(a, n) == n)) for n in (0, 1)]


def pick(rows: Rows, wanted: Callable[[str], bool]) -> Rows:
    kept = [n for n, answer in enumerate(rows[1]) if wanted(answer)]
    return [rows[0][n] for n in kept], [rows[1][n] for n in kept], rows[2][kept]


def as_wordings(rows: Rows) -> Wordings:
    return Wordings(*rows)


def report(
    name: str,
    count: int,
    label: str,
    method: Method,
    known: Rows,
    asked: Rows,
    draws: int,
    shipped: ShippedSelector | None,
) -> None:
    outcomes = []
    truth = np.array(asked[1])
    for seed in range(draws):
        chance = np.random.default_rng(seed)
        owners = np.array(known[1])
        rows = [n for a in np.unique(owners) for n in chance.permutation(np.flatnonzero(owners == a))[:count]]
        desk = Wordings([known[0][n] for n in rows], [known[1][n] for n in rows], known[2][rows])
        got, seconds = method(desk, asked, seed, shipped)
        hits = np.array(got) != ""
        right = hits & (np.array(got) == truth)
        outside = truth == ""
        outcomes.append(
            (
                right.sum() / max((~outside).sum(), 1), (hits & ~right).sum() / max(hits.sum(), 1),
                (hits & outside).sum() / max(outside.sum(), 1), seconds / len(truth) * 1000,
            )
        )  # fmt: skip
    table = np.array(outcomes)
    right, error, out, spent = (round(float(each), 4) for each in table.mean(axis=0))
    emit(
        set=name, known=count, method=label, right=right, error=error, outside=out, draws=draws,
        kept=int((table[:, 1] <= TOLERATED).sum()), milliseconds=spent,
    )  # fmt: skip


def emit(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def ours(desk: Wordings, asked: Rows, _: int, shipped: ShippedSelector | None) -> tuple[list[str], float]:
    no_fences = Wordings([], [], desk.vectors[:0])
    counts = {answer: desk.answers.count(answer) for answer in set(desk.answers)}
    base = (shipped or ShippedSelector.load()).selector(statistics.median(counts.values()))
    selector = train_selector(desk, no_fences, ([], desk.vectors[:0]), shipped=base) or base
    single = frozenset(answer for answer, count in counts.items() if count == 1)
    verifier = Verifier.default()
    started = time.process_time()
    found = [
        select(selector, verifier, text, vector, nearest(vector, desk), TOLERATED, single).answer or ""
        for text, vector in zip(asked[0], asked[2], strict=True)
    ]
    return found, time.process_time() - started


def cosine(desk: Wordings, asked: Rows, _: int, __: ShippedSelector | None) -> tuple[list[str], float]:
    owners = np.array(desk.answers)
    among = desk.vectors @ desk.vectors.T
    np.fill_diagonal(among, -1)
    scores, right = among.max(axis=1), owners[among.argmax(axis=1)] == owners
    order = np.argsort(-scores)
    errors = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(errors <= TOLERATED)
    threshold = scores[order[good[-1]]] if len(good) else 1.0
    started = time.process_time()
    near = asked[2] @ desk.vectors.T
    found = np.where(near.max(axis=1) >= threshold, owners[near.argmax(axis=1)], "")
    return found.tolist(), time.process_time() - started


def vcache(desk: Wordings, asked: Rows, seed: int, _: ShippedSelector | None) -> tuple[list[str], float]:
    policy = VCache(TOLERATED, seed)
    started = time.process_time()
    found = [""] * len(asked[0])
    near = asked[2] @ desk.vectors.T
    for n in np.random.default_rng(seed).permutation(len(found)).tolist():
        entry = int(near[n].argmax())
        if policy.explores(entry, float(near[n, entry])):
            policy.observe(entry, float(near[n, entry]), desk.answers[entry] == asked[1][n])
        else:
            found[n] = desk.answers[entry]
    return found, time.process_time() - started


METHODS: dict[str, Method] = {"selector": ours, "cosine": cosine, "vcache": vcache}


if __name__ == "__main__":
    main()
