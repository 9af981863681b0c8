"""Settings of the warehouse: a name, a default and a sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rag.settings import RoomSettings


class AuditSettings(RoomSettings):
    """What an answer must fulfil to be served, and a release to be published."""

    withhold_truncated: bool = Field(True, description="Withhold answers that the model did not end by itself.")
    least_support: float = Field(
        0.3, ge=0, le=1, description="Withhold generated answers that their passages bear out less than this."
    )
    doubtful_support: float = Field(
        0.5, ge=0, le=1, description="Put generated answers below this support on the list for review."
    )
    require_citation: bool = Field(
        False, description="Withhold generated answers that refer to none of their passages by number."
    )
    refusals: list[str] = Field(
        default_factory=lambda: [
            "i do not know",
            "i don't know",
            "i'm not sure",
            "i am not sure",
            "i cannot answer",
            "i can't answer",
            "i'm sorry",
            "i am sorry",
            "as an ai",
            "as a language model",
            "do not hold the answer",
            "do not contain the answer",
            "does not contain the answer",
            "not mentioned in the passages",
        ],
        description="Withhold generated answers that begin with one of these, or say it in their first sentence.",
    )
    least_served: float = Field(0.5, ge=0, le=1, description="Least share of the questions with a served answer.")
    most_empty: float = Field(0.05, ge=0, le=1, description="Largest share of empty answers.")
    most_truncated: float = Field(0.3, ge=0, le=1, description="Largest share of answers that were cut off.")
    most_uncited: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest share of answers without any source; consulted passages count as one "
        "unless `require_citation` is set.",
    )
    most_unsupported: float = Field(
        0.3, ge=0, le=1, description="Largest share of generated answers below `least_support`."
    )
    most_alike: float = Field(
        0.1, ge=0, le=1, description="Largest share of the answers that one and the same text may have."
    )
    most_shrunk: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Largest share by which a collection's documents, chunks or served answers may become fewer.",
    )
    most_golden_worse: int = Field(
        0, ge=0, description="Most golden questions that were right in the last release and are wrong now."
    )
    least_golden: float = Field(0.0, ge=0, le=1, description="Least share of the golden questions that are right.")
    golden_overlap: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A golden question with a reference answer is right from this word overlap (F1) on.",
    )
    golden: list[Path] = Field(
        default_factory=list,
        description="JSONL files of golden questions: `question`, `collection`, and `expected` (a list of texts "
        "that the answer must contain) or `reference` (an answer to compare with). They are anticipated too.",
    )
    canaries: list[str] = Field(
        default_factory=list,
        description="Nonsense questions that each run asks and that must not get a confident answer.",
    )
    most_confident_canaries: int = Field(0, ge=0, description="Most canaries that may get a confident answer.")


class HistorySettings(RoomSettings):
    """What is kept of the requests, and for how long."""

    retention_days: int | None = Field(
        365, ge=1, description="Days after which history is deleted; unset keeps it for ever."
    )
    redaction: Literal["off", "redact", "drop"] = Field(
        "redact",
        description="What happens to texts that users typed: `off` keeps them, `redact` masks e-mail addresses, "
        "phone numbers and card numbers, `drop` keeps no text at all.",
    )


class CostSettings(RoomSettings):
    """What computing costs, for the views and the report."""

    gpu_hour: float = Field(
        default=1.0, ge=0, description="Cost of one hour of the machine that runs the language model."
    )
    currency: str = Field(default="EUR", description="Currency of `gpu_hour`.")


class ReleaseSettings(RoomSettings):
    """Which releases are kept."""

    keep: int = Field(5, ge=1, description="Releases that pruning keeps, and as many failed builds.")
    keep_runs: int = Field(
        7, ge=1, description="Runs whose stages' files are kept for inspection; a release does not need them."
    )
