"""What a run has done, stage by stage, and its row in the run log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from batch.plan import RunPlan
from flows.recorded_settings import recorded_settings
from warehouse.tables import RunRow

PUBLISHED, FAILED_AUDIT = "published", "failed its audit"
_WRITING = (
    "enrich",
    "propose",
    "join",
    "reword",
    "judge",
    "generate",
    "vary",
)  # the stages in which the language model works


@dataclass
class Ledger:
    """What the stages of a run have done so far: figures, start and seconds by stage.

    `secrets` are those of the run, which no error may quote; `shadow` is the name of a shadow build, `trigger` what
    started the run.
    """

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    figures: dict[str, Mapping[str, int]] = field(default_factory=dict)
    started: dict[str, datetime] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    shadow: str | None = None
    trigger: str = "manual"

    def figure(self, stage: str, name: str) -> int:
        """Return one figure of a stage, 0 if it has none."""
        return self.figures.get(stage, {}).get(name, 0)


def run_row(plan: RunPlan, ledger: Ledger, status: str) -> RunRow:
    """Return a run's row of the runs table and of the run log."""
    dropped = [count for change, count in ledger.figures.get("changes", {}).items() if change.startswith("dropped")]
    return {
        "run_id": plan.run_id,
        "started_at": ledger.started_at,
        "finished_at": datetime.now(UTC),
        "status": status,
        "runner": plan.settings.runner,
        "documents": ledger.figure("prepare", "documents"),
        "chunks": ledger.figure("prepare", "chunks"),
        "questions": ledger.figure("anticipate", "questions"),
        "embedded": ledger.figure("index", "embedded"),
        "embeddings_reused": ledger.figure("index", "embeddings_reused"),
        "generated": ledger.figure("generate", "generated"),
        "reused": ledger.figure("generate", "reused"),
        "dropped": sum(dropped),
        "postponed": ledger.figure("generate", "postponed"),
        "rejected": sum(ledger.figure(stage, "rejects") for stage in ledger.figures),
        "prompt_tokens": _written(ledger, "prompt_tokens"),
        "completion_tokens": _written(ledger, "completion_tokens"),
        "cached_tokens": _written(ledger, "cached_tokens"),
        "batched_prompt_tokens": _batched(plan, ledger, "prompt_tokens"),
        "batched_completion_tokens": _batched(plan, ledger, "completion_tokens"),
        "generation_seconds": sum(ledger.seconds.get(stage, 0.0) for stage in _writing_here(plan)),
        "settings": recorded_settings(plan),
        "shadow": ledger.shadow,
        "trigger": ledger.trigger,
    }


def _batched(plan: RunPlan, ledger: Ledger, tokens: str) -> int:
    """Return the tokens of one kind for which the price of a Batch API is paid."""
    return ledger.figure("generate", tokens) if plan.settings.generate_with == "batch_api" else 0


def _writing_here(plan: RunPlan) -> list[str]:
    """Return the stages that take the time of a language model of ours; a batch's time is one of waiting."""
    elsewhere = plan.settings.generate_with in ("batch_api", "batch_files")
    return [stage for stage in _WRITING if not (elsewhere and stage == "generate")]


def _written(ledger: Ledger, tokens: str) -> int:
    """Return the tokens of one kind over the stages in which the language model works."""
    return sum(ledger.figure(stage, tokens) for stage in _WRITING)
