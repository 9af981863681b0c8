"""What goes in and out of OpenAI's APIs: chats, responses, embeddings, models, errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from online.errors import Near, Suggestion
from online.http.schemas import AnswerSource, Citation, Handover, JsonObject, QuestionFilters


class ChatMessage(msgspec.Struct):
    """One turn. Further fields are allowed."""

    role: Annotated[str, Meta(min_length=1)]
    content: str | list[JsonObject] | None = None


class StreamOptions(msgspec.Struct):
    """How to stream."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    """A chat completion request; what else OpenAI knows is allowed and goes to the language model."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=1000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    filters: Annotated[QuestionFilters, Meta(description="As of `/v1/answers`; not sent to the model.")] | None = None


class Provenance(msgspec.Struct):
    """Where the answer to a chat came from, and its sources."""

    source: AnswerSource
    citations: list[Citation]
    release: str
    reason: str | UnsetType = UNSET
    suggestions: list[Suggestion] | UnsetType = UNSET
    handover: Handover | UnsetType | None = UNSET
    question: Annotated[str | UnsetType, Meta(description="What was asked, where it is not the last turn.")] = UNSET


class Choice(msgspec.Struct, kw_only=True):
    """The answer of a chat completion; `message` has a `role`, and what else the language model says."""

    index: int
    message: Annotated[JsonObject, Meta(extra_json_schema={"required": ["role"]})]
    logprobs: JsonObject | None = None
    finish_reason: str | None


class ChatCompletion(msgspec.Struct):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: JsonObject | UnsetType = UNSET
    beforehand: Provenance | UnsetType = UNSET


class OpenAIErrorDetails(msgspec.Struct):
    """What went wrong, in OpenAI's fields."""

    message: str
    type: str
    param: str | None
    code: str | None
    suggestions: list[Suggestion] | UnsetType = UNSET
    candidates: list[Near] | UnsetType = UNSET


class OpenAIError(msgspec.Struct):
    """What went wrong, in OpenAI's shape."""

    error: OpenAIErrorDetails


class Model(msgspec.Struct):
    """A name to ask under: `beforehand/<collection>`, or the language model itself where one is asked by default."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "beforehand"


class Models(msgspec.Struct, kw_only=True):
    """All names to ask under."""

    object: Literal["list"] = "list"
    data: list[Model]


class ResponseRequest(msgspec.Struct):
    """A request of the Responses API; what else OpenAI knows is allowed, except for state that is not kept here."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    input: str | Annotated[list[JsonObject], Meta(min_length=1, max_length=1000)]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    tools: list[JsonObject] | None = None
    tool_choice: str | JsonObject | None = None
    reasoning: JsonObject | None = None
    text: JsonObject | None = None
    metadata: JsonObject | None = None
    previous_response_id: Annotated[None, Meta(description="Not kept: send the earlier turns in `input`.")] = None
    conversation: Annotated[None, Meta(description="Not kept: send the earlier turns in `input`.")] = None
    store: Annotated[Literal[False] | None, Meta(description="Responses are not stored.")] = None
    background: Literal[False] | None = None
    prompt: Annotated[None, Meta(description="Prompts are not stored.")] = None


class ResponseUsage(msgspec.Struct):
    """Tokens of a response; an anticipated answer costs none."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseObject(msgspec.Struct, kw_only=True):
    """A response; its `output` has a message with the text, and what else the language model says."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["in_progress", "completed", "incomplete"]
    error: None = None
    incomplete_details: dict[str, str] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    model: str
    output: list[JsonObject]
    parallel_tool_calls: bool = True
    previous_response_id: None = None
    store: bool = False
    temperature: float | None = None
    text: JsonObject
    tool_choice: str | JsonObject = "auto"
    tools: list[JsonObject]
    top_p: float | None = None
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None
    metadata: JsonObject
    beforehand: Provenance | UnsetType = UNSET


class EmbeddingRequest(msgspec.Struct):
    """Texts to embed. Further fields are allowed."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    input: (
        Annotated[str, Meta(min_length=1, pattern=r"\S")]
        | Annotated[list[Any], Meta(min_length=1, max_length=1000, extra_json_schema={"items": {"type": "string"}})]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, description="Only the encoder's own number.")] | None = None


class Embedding(msgspec.Struct):
    """The vector of one text: numbers, or base64 of little-endian 32-bit floats."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(msgspec.Struct):
    """How many tokens the encoder read."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct):
    """The vectors of several texts, in their order; `model` names the release whose encoder made them."""

    model: str
    data: list[Embedding]
    usage: EmbeddingUsage
    object: Literal["list"] = "list"
