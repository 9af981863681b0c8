"""Settings of the flows."""

from __future__ import annotations

from pydantic import Field

from rag.settings import RoomSettings


class ScheduleSettings(RoomSettings):
    """When the batch window opens."""

    cron: str = Field("0 2 * * *", description="When `beforehand schedule` builds a release, as a cron expression.")
    timezone: str = Field("UTC", description="Time zone of the cron expression.")
    compact_cron: str = Field("7 * * * *", description="When the journal is compacted into the history.")
