"""Settings of the batch: the run, and vLLM."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from rag.credentials import SecretOption
from rag.settings import HttpAddress, Language, RoomSettings

Checksum = Annotated[str, StringConstraints(pattern="^[0-9a-f]{12,32}$")]
Quantisation = Literal[
    "fp8", "fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "int8_per_channel_weight_only", "mxfp8",
    "nvfp4_per_token", "torchao", "experts_int8",
]  # fmt: skip


class ModelSettings(RoomSettings):
    """A model under a name, which every setting that names a model understands."""

    source: str = Field(description="A packaged model, a Hugging Face id (owner/name), or a local folder.")
    revision: str | None = Field(
        None,
        description="The commit, tag or branch on the hub; each revision is pulled into a folder of its own. Of a "
        "model that an endpoint serves, what enters fingerprints.",
    )
    checksum: Checksum | None = Field(
        None, description="What `models pull` prints; other files are refused, before anything is loaded."
    )
    kind: Literal["language model", "encoder", "reranker"] | None = Field(
        None, description="What it must be; by default that follows from its files. A judge is a language model."
    )
    quantisation: Quantisation | None = Field(
        None,
        description="How vLLM quantises the weights when it loads them; part of the model's identity. Weights that are "
        "stored quantised need nothing here.",
    )
    base: str | None = Field(
        None, description="The model that this one is a LoRA adapter of: a name, a Hugging Face id or a folder."
    )


class BatchSettings(RoomSettings):
    """The batch run."""

    RECORDED = frozenset(
        {
            "runner",
            "generate_with",
            "anticipate_misses",
            "join_misses",
            "least_agreement",
            "batch_size",
            "in_flight",
            "checkpoint_answers",
            "most_rejected",
            "budget_tokens",
            "budget_minutes",
            "retire_after",
            "max_document_bytes",
            "max_question_characters",
        }
    )

    runner: Literal["embedded", "multi_processing", "portable", "flink", "spark", "dataflow"] = Field(
        "embedded",
        description="Where the Beam pipelines run; `embedded` is this process, `multi_processing` are processes of "
        "this machine. docs/runners.md tells of the others.",
    )
    runner_options: list[SecretOption] = Field(
        default_factory=list,
        description="Further Beam options, as on Beam's command line (`--flink_master=…`). They may hold keys, so "
        "nothing of them is recorded.",
    )
    generate_with: Literal["engine", "endpoints", "batch_api", "batch_files"] = Field(
        "engine",
        description="`engine` runs vLLM inside the workers; `endpoints` calls OpenAI-compatible servers; `batch_api` "
        "has the Batch API of the endpoint generate the answers within a day, for half the price; `batch_files` "
        "exports the prompts, for vLLM's `run-batch` on any machine. What else is asked of the model goes to the "
        "endpoints.",
    )
    endpoints: list[HttpAddress] = Field(
        default_factory=list,
        description="Base URLs of the servers that generate, unless `generate_with` is `engine`; `[llm] endpoint` by "
        "default.",
    )
    batch_requests: int = Field(
        50_000,
        ge=1,
        le=50_000,
        description="Most prompts in one batch of the Batch API; lower it where the account's queue is limited.",
    )
    poll_seconds: float = Field(30.0, gt=0, description="Seconds between two looks at the batches of the Batch API.")
    anticipate_misses: int = Field(
        2, ge=0, description="A question that was asked so often and not anticipated is anticipated; 0 is never."
    )
    join_misses: bool = Field(
        True,
        description="Whether questions that were asked and not anticipated are put to a judge, beside the nearest "
        "answers of the current release: those that an answer fits become wordings of it.",
    )
    least_agreement: float = Field(
        0.6,
        ge=0,
        le=1,
        description="How often people must have decided as a judge leaned, from 20 of their decisions on. Below, its "
        "yes waits for a person, and its no makes no fence. 0 trusts it always.",
    )
    least_askers: int = Field(
        3,
        ge=1,
        description="How many different askers it takes: keys, and within a day addresses. Others see the question "
        "only after a person has approved it.",
    )
    pii_model: str | None = Field(
        None,
        description="spaCy model (a package or a folder) with which Presidio looks for names and addresses in "
        "visitors' questions, beside the rules; extra `pii`.",
    )
    labelled_pairs: list[str] = Field(
        default_factory=list,
        description="Files of labelled pairs of questions (`a`, `b`, `same`); semantic hits are calibrated on them.",
    )
    pairs_language: Language = Field(
        "en",
        description="Language of the labelled pairs. Semantic hits of a collection in another language than English "
        "need pairs in it.",
    )
    in_flight: int | None = Field(
        None,
        ge=1,
        description="Requests that the engine, or each endpoint, has at once. The default is twice "
        "`[vllm] max_sequences` for the engine and 64 for an endpoint.",
    )
    checkpoint_answers: int | None = Field(
        None,
        ge=1,
        description="Answers that are written together as a checkpoint, 64 by default. A run that is killed loses at "
        "most these and the requests in flight.",
    )
    most_rejected: int = Field(
        100,
        ge=0,
        description="Prompts of a stage that may be without an answer, because the model refuses them or fails "
        "wherever they are tried; with one more the run stops.",
    )
    budget_tokens: int | None = Field(
        None,
        ge=0,
        description="Tokens that a run may spend, prompts and all help for retrieval included. The questions that are "
        "worth most are answered first, by expected hits for their tokens; the others wait for the next run. Questions "
        "of the audit are always answered. Unset means no limit.",
    )
    budget_minutes: float | None = Field(
        None,
        gt=0,
        description="Minutes that a run may spend generating answers, beside `budget_tokens`; what is reached first "
        "counts.",
    )
    retire_after: int | None = Field(
        None,
        ge=1,
        description="A question that nobody asked for so many nights is left out until somebody asks it again; curated "
        "and approved ones, and those of the audit, stay. Unset means never.",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="What older configurations say: requests at once, at all endpoints together, and answers per "
        "checkpoint, where these are not set.",
    )
    memory_gb: float | None = Field(
        None,
        ge=0.5,
        description="Memory in GB that a process of the run may take, vLLM apart; the sizes of the pieces that it "
        "works in follow from it, and an index for which it does not suffice is refused. The default is half of what "
        "the machine has.",
    )
    max_document_bytes: int = Field(32_000_000, ge=1, description="Larger documents are rejected.")
    max_question_characters: int = Field(2_000, ge=1, description="Longer questions are rejected.")


class VllmSettings(RoomSettings):
    """How vLLM runs, in this process or as a microservice."""

    kv_cache_gb: int | None = Field(
        None,
        ge=1,
        description="Memory of the KV cache in GB. Unset: 2 on a processor, and what is left of its share on a GPU.",
    )
    max_sequences: int = Field(64, ge=1, description="Requests generated together; the more, the more tokens a second.")
    gpu_memory_share: float = Field(0.9, gt=0, le=1, description="Share of a GPU's memory that vLLM may take.")
    gpus: int = Field(1, ge=1, description="GPUs that one model is spread over (tensor parallelism).")
