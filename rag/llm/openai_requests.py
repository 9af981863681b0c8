"""Requests for chat completions as OpenAI-compatible servers read them, sent one by one or as lines of a file."""

from __future__ import annotations

from collections.abc import Sequence

from rag.llm.protocol import Message, Sampling

CHAT_PATH = "/v1/chat/completions"
_PENALTIES = ("frequency_penalty", "presence_penalty", "repetition_penalty")  # the last is vLLM's; others refuse it


def chat_body(
    model: str, messages: Sequence[Message], sampling: Sampling, *, stream: bool = False
) -> dict[str, object]:
    """Return the body of a request for one chat completion."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": stream,
    }
    penalties = {name: getattr(sampling, name) for name in _PENALTIES}
    body |= {name: value for name, value in penalties.items() if value != getattr(Sampling, name)}
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if stream:
        body["stream_options"] = {"include_usage": True}
    return body


def batch_line(custom_id: str, model: str, messages: Sequence[Message], sampling: Sampling) -> dict[str, object]:
    """Return a request as a line of a file for OpenAI's Batch API or vLLM's `run-batch`."""
    body = chat_body(model, messages, sampling)
    del body["stream"]  # a batch has no streams
    return {"custom_id": custom_id, "method": "POST", "url": CHAT_PATH, "body": body}
