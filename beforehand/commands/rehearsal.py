"""Rehearses a run as far as its prompts, in a scratch folder and without the language model.

The stages are those of a run and see the project's data: its stores, its history, its decisions. What they write goes
to the scratch folder, which is removed; nothing is generated, since the budget is 0. New vectors may be kept, because
the run would compute the same ones.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import ConfigurationError
from warehouse.editorial.withdrawal import Withdrawals

if TYPE_CHECKING:
    from batch.plan import RunPlan
    from flows.build_release import Stage

_STORES = ("answers", "proposals", "retrieval")
_VECTORS = ("embeddings", "token_vectors")
_READ_ONLY = ("releases", "history", "journal")
_LAST_STAGE = "retrieve"


@contextmanager
def rehearsal(plan: RunPlan, *, keep_vectors: bool) -> Iterator[RunPlan]:
    """Yield the plan on a scratch copy of its data, with a budget of no tokens.

    Raises:
        ConfigurationError: the data folder is not on a local file system.
    """
    if "://" in plan.data:
        raise ConfigurationError(
            f"[project] data = {plan.data}: this needs a local data folder; copy it to a disk first"
        )
    with tempfile.TemporaryDirectory(prefix="beforehand-") as folder:
        scratch = Path(folder, "data")
        _shadow(Path(plan.data), scratch, keep_vectors=keep_vectors)
        here = {"runner": "embedded"}  # workers elsewhere don't see the scratch folder
        settings = plan.settings.model_copy(update={"budget_tokens": 0, "budget_minutes": None, **here})
        yield replace(plan, data=str(scratch), settings=settings)


def _shadow(data: Path, scratch: Path, *, keep_vectors: bool) -> None:
    """Make a folder that reads like the data folder; what is written to it does not reach that."""
    (scratch / "runs").mkdir(parents=True)
    linked = _READ_ONLY + (_VECTORS if keep_vectors else ())
    for name in linked:
        if name in _VECTORS:
            (data / name).mkdir(parents=True, exist_ok=True)
        if (data / name).is_dir():
            (scratch / name).symlink_to((data / name).resolve(), target_is_directory=True)
    for name in set(_STORES + _VECTORS) - set(linked):
        for path in (data / name).rglob("*"):
            if path.is_file():
                link = scratch / path.relative_to(data)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    for path in data.glob("*.jsonl"):  # append-only files, to which the stages may append
        shutil.copy2(path, scratch)


def run_to_prompts(
    plan: RunPlan, stages: Sequence[Stage], ask: Callable[[RunPlan], None] | None = None
) -> tuple[RunPlan, Mapping[str, Mapping[str, int]]]:
    """Run the stages of a build up to the prompts; return the plan as it then is, and the figures of each stage.

    With `ask`, which writes the questions of the run, nothing else is anticipated.
    """
    from batch.stages.join import left_to_anticipate

    plan = replace(plan, withdrawn=Withdrawals(Path(plan.data)).by_people())
    skipped = ("calibrate", "join") if ask else ("calibrate",)
    figures = {}
    for stage in stages:
        if ask is not None and stage.name == "anticipate":
            ask(plan)
        elif stage.wanted(plan) and stage.name not in skipped:
            figures[stage.name] = stage.body(plan)
            if stage.name == "join":
                plan = replace(plan, misses=left_to_anticipate(plan))
        if stage.name == _LAST_STAGE:
            break
    return plan, figures
