"""What `beforehand decide` assumes: traffic, speeds, prices and goals, each a setting with a default."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from rag.settings import RoomSettings


class DecideSettings(RoomSettings):
    """The assumptions of `decide`; what is unset is taken from the history, or else from the default in brackets."""

    requests_a_month: float | None = Field(None, gt=0, description="Questions a month [100000].")
    hit_rate: float | None = Field(
        None, ge=0, le=1, description="Share of the questions that a prepared answer serves [0.6]."
    )
    prompt_tokens: float | None = Field(None, gt=0, description="Tokens of a prompt, passages included [1500].")
    answer_tokens: float | None = Field(None, gt=0, description="Tokens of an answer [200].")
    anticipated: float | None = Field(None, ge=0, description="Questions that are prepared [2000].")
    batch_tokens_a_second: float | None = Field(
        None, gt=0, description="Answer tokens a second of the batch, on the GPUs of one replica [2000]."
    )
    answer_spread: float = Field(
        0.5, ge=0, le=3, description="Standard deviation of an answer's length, for a mean of 1; 0 makes all alike."
    )
    changed_share: float = Field(
        0.05, ge=0, le=1, description="Share of the prepared answers that is generated again in a night."
    )
    nights: float = Field(30, gt=0, description="Nights a month in which the batch runs.")
    peak_factor: float = Field(3.0, ge=1, description="How much more is asked in a peak hour than in a mean one.")
    peak_hours: float = Field(4.0, gt=0, le=24, description="Peak hours a day.")
    alone_tokens_a_second: float = Field(60.0, gt=0, description="Answer tokens a second of a replica, one answer.")
    full_tokens_a_second: float = Field(
        1200.0, gt=0, description="Answer tokens a second of a replica that writes `sequences` answers at once."
    )
    sequences: int = Field(64, ge=1, description="Answers at once at a replica.")
    startup_seconds: float = Field(180.0, ge=0, description="Seconds until a replica of the model answers.")
    overhead_seconds: float = Field(0.05, ge=0, description="Seconds of a live answer beside queue and model.")
    hit_p50_seconds: float = Field(0.005, gt=0, description="Median of a prepared answer's latency.")
    hit_p99_seconds: float = Field(0.03, gt=0, description="99th percentile of a prepared answer's latency.")
    hosted_p50_seconds: float = Field(3.0, gt=0, description="Median of the hosted API's latency.")
    hosted_p99_seconds: float = Field(12.0, gt=0, description="99th percentile of the hosted API's latency.")
    gpu_hour: float = Field(2.5, ge=0, description="Price of a GPU hour on demand.")
    window_gpu_hour: float = Field(1.5, ge=0, description="Price of a GPU hour in the batch window.")
    window_hours: float = Field(6.0, gt=0, le=24, description="Length of the batch window in hours.")
    machine_hour: float = Field(0.1, ge=0, description="Price of an hour of a machine for the service, without a GPU.")
    machine_requests_a_second: float = Field(100.0, gt=0, description="Requests a second that such a machine bears.")
    hosted_prompt_price: float = Field(0.5, ge=0, description="Hosted API: price of a million prompt tokens.")
    hosted_answer_price: float = Field(1.5, ge=0, description="Hosted API: price of a million answer tokens.")
    hosted_batch_share: float = Field(
        0.5, ge=0, le=1, description="Hosted API: price in its batch, as a share of the usual price."
    )
    utilisation: float = Field(
        0.7, gt=0, le=1, description="Share of a replica's full speed that is planned with at the peak."
    )
    most_refused: float = Field(0.01, ge=0, le=1, description="Share of the live questions that may be refused.")
    p99_seconds: float = Field(20.0, gt=0, description="Goal: 99 of 100 answers take no longer.")
    deploys_a_month: float = Field(
        8.0, ge=0, description="Releases of the business logic a month; a monolith loads the model again for each."
    )
    model_gb: float = Field(16.0, gt=0, description="Memory of the model's weights in GB.")
    gpu_gb: float = Field(80.0, gt=0, description="Memory of a GPU in GB.")
    weights_share: float = Field(0.8, gt=0, le=1, description="Share of a GPU's memory that weights may take.")
    more_traffic: float = Field(10.0, gt=0, description="So many times more traffic is looked at too.")
    larger_model: float = Field(
        4.0,
        gt=0,
        description="A model so many times larger is looked at too; its tokens a second on a GPU fall as much.",
    )
    larger_hosted_price: float = Field(4.0, gt=0, description="How much more a hosted model of that size costs.")
    currency: str = Field("EUR", description="Currency of the prices.")

    @model_validator(mode="after")
    def _fits_into_a_day(self) -> Self:
        if self.peak_factor * self.peak_hours > 24:
            raise ValueError(
                f"peak_factor = {self.peak_factor:g} in peak_hours = {self.peak_hours:g}: more than a whole day's "
                "questions; their product is at most 24"
            )
        for kind in ("hit", "hosted"):
            if getattr(self, f"{kind}_p99_seconds") < getattr(self, f"{kind}_p50_seconds"):
                raise ValueError(f"{kind}_p99_seconds is below {kind}_p50_seconds; it is at least as long")
        return self


DEFAULTS = {
    "requests_a_month": 100_000.0,
    "hit_rate": 0.6,
    "prompt_tokens": 1500.0,
    "answer_tokens": 200.0,
    "anticipated": 2000.0,
    "batch_tokens_a_second": 2000.0,
}
"""The values of what neither the settings nor the history tell."""
