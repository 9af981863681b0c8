"""The settings of a run as the runs table and the run log hold them: an allow-list, since releases are published."""

from __future__ import annotations

import json

from batch.plan import RunPlan
from batch.settings import BatchSettings
from rag.settings import ChunkingSettings, RetrievalSettings

_SECTIONS = {
    "chunking": ChunkingSettings.RECORDED,
    "retrieval": RetrievalSettings.RECORDED,
    "batch": BatchSettings.RECORDED,
}


def recorded_settings(plan: RunPlan) -> str:
    """Return what is recorded of a run's settings, as JSON."""
    return json.dumps(
        {
            "sampling": plan.sampling.identity(),
            "chunking": plan.chunking.recorded(),
            "retrieval": plan.retrieval.recorded(),
            "batch": plan.settings.recorded(),
        }
    )


def only_recorded(settings: str) -> str:
    """Return the settings of an earlier run without what is no longer recorded; earlier versions recorded all."""
    kept: dict[str, object] = {}
    for section, values in json.loads(settings or "{}").items():
        if section == "sampling":
            kept[section] = values
        elif section in _SECTIONS:
            kept[section] = {name: value for name, value in values.items() if name in _SECTIONS[section]}
    return json.dumps(kept)
