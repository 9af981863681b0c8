"""Settings of the flows."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from flows.cron import checked_cron, checked_timezone
from rag.settings import HttpAddress, RoomSettings

Cron = Annotated[str, AfterValidator(checked_cron)]


class ScheduleSettings(RoomSettings):
    """When the batch window opens, and when the chores are done."""

    cron: Cron = Field("0 2 * * *", description="When `beforehand schedule` builds a release, as a cron expression.")
    timezone: Annotated[str, AfterValidator(checked_timezone)] = Field(
        "UTC", description="Time zone of the cron expressions."
    )
    compact_cron: Cron = Field("7 * * * *", description="When the journal is compacted into the history.")
    check_cron: Cron = Field(
        "0 5 * * sun",
        description="When the current release is checked: checksums, certificates, golden questions.",
    )
    prune_cron: Cron = Field("30 5 * * *", description="When releases and files of runs that are no longer kept go.")
    port: int = Field(
        4200, ge=1, le=65535, description="Port of Prefect's page and API while `beforehand schedule` runs."
    )


class FollowSettings(RoomSettings):
    """What `beforehand follow` does while the day goes on."""

    poll_seconds: float = Field(
        30.0, gt=0, description="Seconds between two looks at documents, lists of questions and the journal."
    )
    settle_seconds: float = Field(
        20.0,
        ge=0,
        description="A build begins when nothing more has changed for so long, so that no document is read that is "
        "still being written; with changes all the time it begins after ten times as long.",
    )
    builds_an_hour: int = Field(6, ge=1, description="Most builds that `follow` starts within an hour.")
    tokens_an_hour: int | None = Field(
        None,
        ge=1,
        description="Tokens that the builds of `follow` may spend within an hour, as `[batch] budget_tokens` of each. "
        "What does not fit waits, at the latest for the nightly build. Unset means no limit.",
    )


class AlertSettings(RoomSettings):
    """Who is told when a build fails."""

    webhook: HttpAddress | None = Field(
        None,
        description="Gets a POST with JSON when a run fails, crashes or is refused by its audit, or a check finds "
        "something.",
    )
