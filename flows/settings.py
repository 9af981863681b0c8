"""Settings of the flows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ScheduleSettings(BaseModel):
    """When the batch window opens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = Field("0 2 * * *", description="When `beforehand schedule` builds a release, as a cron expression.")
    timezone: str = Field("UTC", description="Time zone of the cron expression.")
    compact_cron: str = Field("7 * * * *", description="When the journal is compacted into the history.")
