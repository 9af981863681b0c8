"""Settings of the service: a name, a default and a sentence each."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from rag.collection_settings import EarlierTurns, FieldName, FilterValue, PromptHash, SystemPrompt
from rag.settings import RoomSettings

Scope = Literal["ask", "feedback", "review", "report", "admin"]
Bypass = Literal["grounded", "plain", "off"]
Origin = Annotated[
    str, StringConstraints(pattern=r"^https?://[a-z0-9.-]+(:[0-9]+)?$|^https?://\[[0-9a-f:]+\](:[0-9]+)?$")
]
Host = Annotated[str, StringConstraints(pattern=r"(?i)^(\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[?[0-9a-f:]+\]?)$")]
_USER: list[Scope] = ["ask", "feedback"]


def _require_hash(text: SecretStr) -> SecretStr:
    if not re.fullmatch("sha256:[0-9a-f]{64}", text.get_secret_value()):
        raise ValueError("it must be sha256: and 64 hexadecimal digits; `beforehand key` makes a key and its hash")
    return text


class KeySettings(RoomSettings):
    """An API key; `beforehand key` makes one and its hash."""

    hash: Annotated[SecretStr, AfterValidator(_require_hash)] = Field(
        description="`sha256:` and the SHA-256 of the key; never the key itself."
    )
    scopes: list[Scope] = Field(
        default_factory=lambda: _USER,
        description="`ask` reads answers, `feedback` sends feedback, `review` opens the page /review and decides about "
        "answers there, `report` opens the page /report, `admin` may do all of it and read /metrics.",
    )
    collections: list[str] = Field(
        default_factory=list, description="The collections that the key belongs to; empty means all."
    )
    default_collection: str | None = Field(
        None, description="The collection of a question that names none, where the key belongs to several."
    )
    requests_per_minute: int | None = Field(None, ge=1, description="Rate limit of the key; unset means none.")
    bypass: Bypass | None = Field(None, description="As `bypass` of the service, for this key; unset means that one.")
    filters: dict[FieldName, FilterValue] = Field(
        default_factory=dict,
        description="Values of the collections' filters that all questions with this key have, as "
        '`{ audience = "hr" }`; a request that names another value is refused.',
    )
    system_prompt: SystemPrompt | None = Field(
        None, description="As `system_prompt` of the collection, for this key; unset means that one."
    )
    known_system_prompts: list[PromptHash] = Field(
        default_factory=list, description="Hashes of this key's system prompts, beside those of the collection."
    )
    earlier_turns: EarlierTurns | None = Field(
        None, description="As `earlier_turns` of the collection, for this key; unset means that one."
    )


class ServiceSettings(RoomSettings):
    """The answer service."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    allowed_hosts: list[Host] | None = Field(
        None,
        description="Host names under which the service is reached, without a port; `*.example.org` names all "
        "subdomains, `*` any host. Loopback names and the address of the connection always count. Unset means no "
        "others when `host` is a loopback address, and any host otherwise.",
    )
    allowed_origins: list[Origin] = Field(
        default_factory=list,
        description="Other sites whose pages may ask and read answers (CORS), as `https://www.example.org`.",
    )
    base_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$",
        description="Path of the service behind a proxy, such as `/faq`; whether the proxy strips it does not matter.",
    )
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="Addresses or networks of proxies whose `X-Forwarded-*` and `Forwarded` headers count.",
    )
    workers: int = Field(1, ge=1, le=64, description="Worker processes that share the port.")
    poll_seconds: float = Field(
        0.5, gt=0, le=60, description="How often a new release or a withdrawal is looked for; a few `stat` calls."
    )
    store_seconds: float = Field(
        2.0,
        gt=0,
        le=600,
        description="How often an object store, where `data` is one, is asked for a new release, decisions and "
        "withdrawals; two requests.",
    )
    embedding_threads: int = Field(
        1, ge=1, le=16, description="Threads that embed questions and search the indexes, in each worker process."
    )
    embedding_queue: int = Field(
        64, ge=1, description="Questions that may wait for such a thread; beyond it a miss is refused at once."
    )
    semantic_hits: bool = Field(True, description="Answer a question asked in other words from the release.")
    rewrite_queries: bool = Field(
        False,
        description="Let the language model put a live question into other words, and search for both; one more "
        "short call for each miss.",
    )
    comparison_share: float = Field(
        0.02, ge=0, le=1, description="Share of semantic hits that are also answered live and compared."
    )
    concurrency: int = Field(8, ge=1, description="Calls to the language model at once, to begin with.")
    concurrency_limit: int = Field(256, ge=1, description="The most that the concurrency may grow to.")
    target_seconds: float = Field(
        15.0, gt=0, description="A live answer should take no longer; beyond it fewer are generated at once."
    )
    deadline_seconds: float = Field(60.0, gt=0, description="Longest time that a live answer may take.")
    queue_length: int = Field(64, ge=0, description="Misses that may wait for the language model.")
    queue_seconds: float = Field(
        10.0, gt=0, description="Longest wait for it; who would wait longer is refused at once."
    )
    breaker_failures: int = Field(
        5, ge=1, description="Failures in a row after which the language model counts as down."
    )
    breaker_seconds: float = Field(
        2.0, gt=0, description="How long it is then left alone; doubled up to 30 seconds while it stays down."
    )
    feedback_per_minute: int = Field(
        30, ge=1, description="Feedback that one client may send in a minute without a key, told by its address."
    )
    job_limit: int = Field(1000, ge=0, description="Asynchronous questions that may wait; beyond it 429.")
    job_hours: float = Field(24.0, gt=0, description="How long the answer of an asynchronous question is kept.")
    body_bytes: int = Field(262_144, ge=1024, description="Largest request body.")
    shutdown_seconds: int = Field(20, ge=0, description="How long requests in flight may take to end on SIGTERM.")
    journal: bool = Field(True, description="Write the journal, from which questions are anticipated.")
    tracing: bool = Field(
        False, description="Send OpenTelemetry traces (extra `otel`; the usual OTEL_ variables say where to)."
    )
    bypass: Bypass = Field(
        "grounded",
        description="What a chat gets that no prepared answer fits (system message, earlier turns, tools): `grounded` "
        "puts passages found for its last question in front, `plain` passes it on unchanged, `off` refuses it.",
    )
    page_title: str = Field("Questions and answers", min_length=1, description="Title of the FAQ page.")
    public_page: list[str] = Field(
        default_factory=list,
        description="Collections that visitors of the FAQ page may read and ask without a key, where keys are "
        "configured; empty closes the page to them.",
    )
    default_collection: str | None = Field(
        None,
        description="The collection of a question that names none, where there are several: without keys, and for "
        "keys that belong to it and have no `default_collection` of their own.",
    )
    keys: dict[str, KeySettings] = Field(
        default_factory=dict, description="API keys by name. Without any the service is open to all who reach it."
    )
