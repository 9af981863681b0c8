"""The prompts of a reading task, made by the stages of a run, for benches of their order and of the engine."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from batch.plan import RunPlan
from batch.rows import PromptRow
from batch.stages.anticipate import anticipate
from batch.stages.generate import prompts_folder
from batch.stages.index import index
from batch.stages.prepare import prepare
from batch.stages.retrieve import retrieve
from batch.stores.parquet import read_rows
from beforehand.configuration import prepare_environment, read_settings
from beforehand.run_plan import compose_plan
from rag.settings import PassageOrder

_CONFIGURATION = """
[project]
data = "data"
models = {models}
[llm]
model = {model}
[collections.default]
documents = [{documents}]
questions = ["questions.txt"]
[retrieval]
passage_tokens = 0
passage_order = "{order}"
learn_fusion = false
[sampling]
max_tokens = {tokens}
[vllm]
kv_cache_gb = {cache_gb}
max_sequences = {sequences}
"""


@dataclass(frozen=True)
class ReadingTask:
    """What is asked: so many questions of a reading task, for answers of so many tokens; and of which engine."""

    reading: Path
    models: Path
    model: str
    questions: int
    tokens: int = 48
    cache_gb: int = 1
    sequences: int = 64


def write_project(folder: Path, task: ReadingTask, order: PassageOrder) -> None:
    """Write a project that asks the questions in random order."""
    folder.mkdir(exist_ok=True)
    lines = (task.reading / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line)["question"] for line in lines]
    random.Random(0).shuffle(asked)
    (folder / "questions.txt").write_text("\n".join(asked[: task.questions]) + "\n", encoding="utf-8")
    filled = _CONFIGURATION.format(
        models=json.dumps(str(task.models.resolve())),
        model=json.dumps(task.model),
        documents=json.dumps(str((task.reading / "documents.jsonl").resolve())),
        tokens=task.tokens,
        order=order,
        cache_gb=task.cache_gb,
        sequences=task.sequences,
    )
    (folder / "beforehand.toml").write_text(filled)


def make_projects(folder: Path, task: ReadingTask) -> dict[PassageOrder, Path]:
    """Write a project for each order of the passages, make its prompts, and return the folders."""
    found: dict[PassageOrder, Path] = {order: folder / order for order in get_args(PassageOrder)}
    for order, project in found.items():
        write_project(project, task, order)
        make_prompts(plan_of(project))
    return found


def plan_of(folder: Path) -> RunPlan:
    """Return the plan of the project's run."""
    settings = read_settings((folder / "beforehand.toml", ()))
    prepare_environment(settings)
    return compose_plan(settings, "bench")


def make_prompts(plan: RunPlan) -> None:
    """Run the stages up to the prompts."""
    for stage in (prepare, index, anticipate, retrieve):
        stage(plan)


def prompts_of(plan: RunPlan) -> list[PromptRow]:
    """Return the prompts, by fingerprint, so in no order that matters."""
    return sorted(read_rows(prompts_folder(plan), PromptRow), key=lambda row: row["fingerprint"])
