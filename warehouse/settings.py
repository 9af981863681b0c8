"""Settings of the warehouse: audit, history, costs, releases."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from rag.prompting.answer_rules import REFUSALS, AnswerRules
from rag.settings import HttpAddress, RoomSettings


class AuditSettings(RoomSettings):
    """The conditions for serving an answer and for publishing a release."""

    withhold_truncated: bool = Field(True, description="Withhold answers that were cut off at the token limit.")
    least_support: float = Field(
        0.3, ge=0, le=1, description="Withhold generated answers whose passages support them less than this."
    )
    doubtful_support: float = Field(
        0.5, ge=0, le=1, description="List generated answers below this support for review."
    )
    require_citation: bool = Field(
        False, description="Withhold generated answers that cite none of their passages by number."
    )
    refusals: list[str] = Field(
        default_factory=lambda: list(REFUSALS),
        description="Withhold generated answers whose first sentence contains one of these phrases.",
    )
    least_served: float = Field(
        0.5, ge=0, le=1, description="Smallest share of questions that must have a served answer."
    )
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
    most_alike: float = Field(0.1, ge=0, le=1, description="Largest share of answers that may have the same text.")
    most_fences_hit: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Largest share of fences that would get their answer if the list of fences didn't bar it.",
    )
    most_shrunk: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Largest share of a collection's documents, chunks or served answers that may disappear.",
    )
    most_golden_worse: int = Field(
        0, ge=0, description="How many golden questions may be right in the last release and wrong now."
    )
    least_golden: float = Field(0.0, ge=0, le=1, description="Smallest share of golden questions that must be right.")
    golden_overlap: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Smallest word overlap (F1, as SQuAD counts it) with the reference answer of a golden question.",
    )
    golden: list[Path] = Field(
        default_factory=list,
        description="Files of golden questions (JSONL, CSV or Parquet): `question`, `collection`, and `expected` (a "
        "list of texts that the answer must contain) or `reference` (an answer to compare with); `document` and "
        "`passage` (a text of it) say where the answer stands, for `eval`. They are anticipated too.",
    )
    canaries: list[str] = Field(
        default_factory=list,
        description="Nonsense questions that every run asks and that must not get a confident answer.",
    )
    most_confident_canaries: int = Field(0, ge=0, description="How many canaries may get a confident answer.")

    def answer_rules(self) -> AnswerRules:
        """Return the rules for a generated answer; the service has the same for live ones."""
        return AnswerRules(
            withhold_truncated=self.withhold_truncated,
            least_support=self.least_support,
            require_citation=self.require_citation,
            refusals=tuple(self.refusals),
        )


class EvaluationSettings(RoomSettings):
    """The judge that `eval` asks whether answers keep to their passages; without an endpoint there is none."""

    judge_endpoint: HttpAddress | None = Field(
        None, description="Base URL of the OpenAI-compatible server that judges answers."
    )
    judge_model: str | None = Field(None, min_length=1, description="The judge's name at that server.")
    judge_api_key: SecretStr | None = Field(
        None, description="Sent to the judge's server as a bearer token, if it needs one."
    )
    judge_timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one verdict.")


class HistorySettings(RoomSettings):
    """What is kept of requests, and for how long."""

    RECORDED = frozenset({"retention_days", "redaction"})

    retention_days: int | None = Field(
        365, ge=1, description="Days after which history is deleted; unset keeps it for ever."
    )
    redaction: Literal["off", "redact", "drop"] = Field(
        "redact",
        description="What happens to the texts of requests: `off` keeps them, `redact` masks e-mail addresses, "
        "phone numbers and card numbers, `drop` removes them.",
    )


class CostSettings(RoomSettings):
    """Cost of computing, for the views and the report."""

    gpu_hour: float = Field(
        default=1.0, ge=0, description="Cost of one hour of the machine that runs the language model."
    )
    prompt_million: float = Field(
        default=0.0, ge=0, description="Price of a million prompt tokens, where a host bills by tokens."
    )
    completion_million: float = Field(default=0.0, ge=0, description="Price of a million generated tokens.")
    batch_price: float = Field(
        default=0.5, ge=0, le=1, description="Share of the tokens' prices that the host's Batch API asks."
    )
    currency: str = Field(default="EUR", description="Currency of the costs.")


class ReleaseSettings(RoomSettings):
    """Which releases are kept."""

    keep: int = Field(5, ge=1, description="How many releases pruning keeps, and as many failed builds.")
    keep_runs: int = Field(
        7, ge=1, description="Runs whose intermediate files are kept for inspection; releases don't need them."
    )
