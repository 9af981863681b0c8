"""A new release every other second, rollbacks and withdrawals among them, under a steady load of hits.

Prints one JSON line: failures (there may be none) and the p99 of the hits in the second after each swap beside
the p99 without swaps.

    python bench/release_swap.py [--answers 100000] [--rate 300] [--swaps 10] [--workers 1]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import http_load as http
import numpy as np
from exact_hits import QUESTION, write_release

sys.path.insert(0, str(http.ROOT))

from rag.paraphrase.boosted_trees import BoostedTrees
from rag.paraphrase.features import FEATURES, Vocabulary
from rag.paraphrase.verifier import Verifier
from warehouse.durable import replace_file
from warehouse.editorial.withdrawal import withdraw


async def measure(url: str, data: Path, releases: list[str], options: argparse.Namespace) -> None:
    seconds = 2.0 * options.swaps

    def question(number: int) -> str:
        return QUESTION.format(number * 7919 % (options.answers // 2))  # what is withdrawn lies in the other half

    async with http.connected(url) as client:
        await http.load(client, options.rate, 2, question)
        usual = await http.load(client, options.rate, seconds / 2, question)
        swaps: list[float] = []
        began = time.perf_counter()

        async def swap() -> None:
            for number in range(options.swaps):
                await asyncio.sleep(max(0.0, began + 2.0 * number + 0.5 - time.perf_counter()))
                pointer = data / "releases" / "CURRENT"
                await asyncio.to_thread(replace_file, pointer, releases[(number + 1) % 2].encode())
                await asyncio.to_thread(withdraw, data, "main", f"d{options.answers - 1 - number}", "bench")
                swaps.append(time.perf_counter() - began)

        swapped, _ = await asyncio.gather(http.load(client, options.rate, seconds, question), swap())
    near = [took for due, took, _ in swapped.rows if any(0 <= due - at < 1 for at in swaps)]
    normal = [took for _, took, _ in usual.rows]
    line = {
        "bench": "release_swap",
        "answers": options.answers,
        "workers": options.workers,
        "swaps": len(swaps),
        "requests": len(swapped.rows),
        "failed": sum(status != 200 for _, _, status in swapped.rows),
        "usual_p50_ms": http.percentile(normal, 50), "usual_p99_ms": http.percentile(normal, 99),
        "swap_p50_ms": http.percentile(near, 50), "swap_p99_ms": http.percentile(near, 99),
        "swap_max_ms": round(max(near) * 1000, 1), "usual_max_ms": round(max(normal) * 1000, 1),
        "p99_ratio": round((http.percentile(near, 99) or 0) / (http.percentile(normal, 99) or 1), 2),
    }  # fmt: skip
    print(json.dumps(line), flush=True)


def write_verifier(release: Path, clues: int = 15_000, rarities: int = 6000) -> None:
    """Write a verifier as large as one that 20 thousand labelled pairs give; it is certified for nothing."""
    random = np.random.default_rng(1)
    feature = random.integers(len(FEATURES), size=(220, 15), dtype=np.int32)
    trees = BoostedTrees(feature, random.random((220, 15)), random.random((220, 16)), 0.0)
    weights = [dict(zip(map(str, range(n)), random.random(n).round(3), strict=True)) for n in (rarities, clues)]
    Verifier(trees, Vocabulary(*weights)).save(release / "verifier.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--encoder", type=Path, help="A converted encoder; a small word encoder by default.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        releases = [write_release(data, options.answers, options.encoder, name) for name in ("one", "two")]
        for name in releases:
            write_verifier(data / "releases" / name)
        config = {
            "data": folder,
            "collections": {"main": {"documents": []}},
            "service": {"port": 0, "workers": options.workers},
        }
        with http.program(http.SERVICE, json.dumps(config)) as (_, url):
            http.wait_until_ready(url)
            asyncio.run(measure(url, data, releases, options))


if __name__ == "__main__":
    main()
