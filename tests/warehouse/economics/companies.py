"""The two companies that docs/decision.md computes by hand."""

from warehouse.economics.assumptions import DecideSettings

ALDER = DecideSettings(
    requests_a_month=300_000, hit_rate=0.7, prompt_tokens=1200, answer_tokens=150, anticipated=3000,
    batch_tokens_a_second=1500, changed_share=0.1, nights=30, peak_factor=3, peak_hours=6, alone_tokens_a_second=50,
    full_tokens_a_second=1000, sequences=64, utilisation=0.6, startup_seconds=120, gpu_hour=3.0, window_gpu_hour=1.2,
    machine_hour=0.08, hosted_prompt_price=0.4, hosted_answer_price=1.6, hosted_batch_share=0.5, deploys_a_month=10,
)  # fmt: skip
BIRCH = ALDER.model_copy(update={"requests_a_month": 60_000_000})
