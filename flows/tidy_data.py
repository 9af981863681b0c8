"""Tidy the data folder at the start of a build, under its lease: no files of crashes and old runs pile up."""

from __future__ import annotations

import shutil
from pathlib import Path

from batch.plan import RunPlan
from batch.stores.compaction import tidy_stores
from warehouse.releases.shadows import is_shadow_running


def tidy_data(plan: RunPlan, keep_runs: int) -> dict[str, int]:
    """Compact the stores and remove the files of old runs; return what was done."""
    merged = 0 if is_shadow_running(Path(plan.data)) else tidy_stores(plan)
    return {"store files merged": merged, "old runs removed": len(prune_runs(plan, keep_runs))}


def prune_runs(plan: RunPlan, keep: int) -> list[str]:
    """Remove the stages' files of all but the newest `keep` runs, never of this run; return the removed runs."""
    runs = sorted(path for path in Path(plan.data, "runs").glob("*") if path.is_dir() and path.name != plan.run_id)
    surplus = runs[: max(0, len(runs) - keep)]
    for path in surplus:
        shutil.rmtree(path)
    return [path.name for path in surplus]
