"""What share of the prompts' tokens a prefix cache saves, by the order of prompts and of the passages inside them.

    python -m bench.prefix_orders --reading FOLDER [--questions 559] [--cache-tokens 21000]

The prompts are those of a run on a reading task (documents.jsonl, questions.jsonl). The cache is simulated as vLLM's:
blocks of 16 tokens, each known by all that stands before it; those of running sequences are kept, the others leave in
the order of their last use. Prints one JSON line for each order.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from batch.generation.prompt_order import order_by_prefix
from bench.reading_prompts import ReadingTask, make_projects, plan_of, prompts_of

ROOT = Path(__file__).parents[1]
BLOCK = 16  # tokens
_OUTPUT = 3  # blocks of an answer
_PASSAGE = re.compile(r"<passage \d+>\n(.*?)\n</passage \d+>", re.DOTALL)
Blocks = list[int]
Prompt = tuple[tuple[str, ...], Callable[[Sequence[str]], Blocks]]
"""The ids of its passages by relevance, and its blocks with the passages in some order."""


def main() -> None:
    """Measure each order, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reading", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--questions", type=int, default=559)
    parser.add_argument("--cache-tokens", type=int, default=21_000)
    parser.add_argument("--sequences", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        task = ReadingTask(options.reading, options.models, options.model, options.questions)
        projects = make_projects(Path(folder), task)
        rows = {order: prompts_of(plan_of(project)) for order, project in projects.items()}
        tokenizer = Tokenizer.from_file(str(options.models / options.model / "tokenizer.json"))
    prompts = [_prompt(tokenizer, row["messages"], tuple(row["chunk_ids"])) for row in rows["relevance"]]
    in_documents = {row["query_key"]: tuple(row["chunk_ids"]) for row in rows["document"]}
    placed = [in_documents[row["query_key"]] for row in rows["relevance"]]
    for name, ordered in orders(prompts, placed, options.cache_tokens // BLOCK):
        share, total = _hits(ordered, options.cache_tokens // BLOCK, options.sequences)
        endless, _ = _hits(ordered, 1 << 40, options.sequences)
        print(
            json.dumps({"order": name, "saved": round(share, 3), "endless_cache": round(endless, 3), "tokens": total}),
            flush=True,
        )


def _prompt(tokenizer: Tokenizer, messages: str, ids: tuple[str, ...]) -> Prompt:
    text = "".join(f"<|im_start|>{each['role']}\n{each['content']}<|im_end|>\n" for each in json.loads(messages))
    found = list(_PASSAGE.finditer(text))
    bodies = dict(zip(ids, (match[1] for match in found), strict=True))
    before, after = (text[: found[0].start()], text[found[-1].end() :]) if found else (text, "")

    def blocks(order: Sequence[str]) -> Blocks:
        shown = "\n\n".join(f"<passage {n}>\n{bodies[each]}\n</passage {n}>" for n, each in enumerate(order, 1))
        tokens = tokenizer.encode(f"{before}{shown}{after}<|im_start|>assistant\n").ids
        chain, known = 0, []
        for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
            chain = hash((chain, *tokens[start : start + BLOCK]))
            known.append(chain)
        return known

    return ids, blocks


def orders(
    prompts: Sequence[Prompt], in_documents: Sequence[tuple[str, ...]], cache: int
) -> Iterator[tuple[str, list[Blocks]]]:
    """Yield each order's name, and the blocks of the prompts in it."""
    ids = [each for each, _ in prompts]
    relevance = [blocks(order) for order, blocks in prompts]
    shuffled = list(range(len(prompts)))
    random.Random(1).shuffle(shuffled)
    yield "random", [relevance[place] for place in shuffled]
    sequence = [relevance[place] for place in order_by_prefix(ids)]
    yield "by the sequence of passages, these by relevance", sequence
    yield "the same, each next one the best of 64 that wait", look_ahead(sequence, cache, 64)
    often = Counter(each for order in ids for each in order)
    by_name = [tuple(sorted(order)) for order in ids]
    by_count = [tuple(sorted(order, key=lambda each: (-often[each], each))) for order in ids]
    kept_first = [(order[0], *sorted(order[1:], key=lambda each: (-often[each], each))) for order in ids]
    for name, inside in (
        ("ours: passages in the order of their documents", in_documents),
        ("passages by their hash", by_name),
        ("passages by how many prompts have them", by_count),
        ("the best passage first, the others by how many prompts have them", kept_first),
        ("prefix tree", prefix_tree(ids)),
    ):
        made = [prompts[place][1](inside[place]) for place in order_by_prefix(inside)]
        yield name, made
        yield f"{name}, each next one the best of 64 that wait", look_ahead(made, cache, 64)


def prefix_tree(ids: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the passages of each prompt in an order of their own: greedily, the one that most prompts share first."""
    made: list[tuple[str, ...]] = [()] * len(ids)
    groups = deque([list(range(len(ids)))])
    while groups:
        group = groups.popleft()
        left = {place: [each for each in ids[place] if each not in made[place]] for place in group}
        while any(left.values()):
            often = Counter(each for rest in left.values() for each in rest)
            best = max(often, key=lambda each: (often[each], each))
            chosen = [place for place, rest in left.items() if best in rest]
            for place in chosen:
                made[place] = (*made[place], best)
                del left[place]
            groups.append(chosen)
    return made


def look_ahead(ordered: Sequence[Blocks], cache: int, window: int) -> list[Blocks]:
    """Choose each next prompt among those of a window: the one that finds most of its blocks used lately."""
    rest = deque(ordered)
    waiting = [rest.popleft() for _ in range(min(window, len(rest)))]
    known: OrderedDict[int, None] = OrderedDict()
    made = []
    while waiting:
        chosen = max(range(len(waiting)), key=lambda place: (_leading(waiting[place], known), -place))
        blocks = waiting.pop(chosen)
        made.append(blocks)
        for block in blocks:
            known[block] = None
            known.move_to_end(block)
        while len(known) > cache:
            known.popitem(last=False)
        if rest:
            waiting.append(rest.popleft())
    return made


def _leading(blocks: Blocks, known: OrderedDict[int, None] | Counter[int]) -> int:
    return next((number for number, block in enumerate(blocks) if block not in known), len(blocks))


def _hits(ordered: Sequence[Blocks], cache: int, sequences: int) -> tuple[float, int]:
    """Return the share of the prompts' tokens that the cache saves, and how many those of the prompts are."""
    idle: OrderedDict[int, None] = OrderedDict()
    running: deque[Blocks] = deque()
    held: Counter[int] = Counter()
    hits = 0
    for blocks in ordered:
        while running and (
            len(running) >= sequences
            or len(held) + sum(block not in held for block in blocks) + _OUTPUT * (len(running) + 1) > cache
        ):
            for block in reversed(running.popleft()):  # the end of a prompt is forgotten first
                held[block] -= 1
                if not held[block]:
                    del held[block]
                    idle[block] = None
                    idle.move_to_end(block)
        hits += next((n for n, block in enumerate(blocks) if block not in held and block not in idle), len(blocks))
        for block in blocks:
            held[block] += 1
            idle.pop(block, None)
        running.append(blocks)
        while idle and len(idle) + len(held) + _OUTPUT * len(running) > cache:
            idle.popitem(last=False)
    total = sum(map(len, ordered))
    return hits / total, total * BLOCK


if __name__ == "__main__":
    main()
