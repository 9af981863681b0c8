"""Asking a running service from the terminal: one request, and the answer with its sources as text."""

from __future__ import annotations

import textwrap
from typing import Any

import httpx

from rag.errors import LlmUnavailableError, QuestionError

_WIDTH = 88


def ask_service(
    base_url: str,
    question: str,
    *,
    collection: str | None = None,
    key: str | None = None,
    explain: bool = False,
    timeout: float = 60.0,
) -> dict[str, Any]:
    """Ask `POST /v1/answers` and return the response; `key` is an API key, `timeout` in seconds.

    Raises:
        QuestionError: the service refuses the question; the message is the service's.
        LlmUnavailableError: the service can't be reached, or has no answer now.
    """
    body = {"question": question, "explain": explain} | ({"collection": collection} if collection else {})
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        response = httpx.post(f"{base_url}/v1/answers", json=body, headers=headers, timeout=timeout)
        answered: dict[str, Any] = response.json()
    except httpx.HTTPError as error:
        raise LlmUnavailableError(
            f"no service answers at {base_url} ({error}); start one with `beforehand serve`"
        ) from error
    except ValueError as error:
        raise LlmUnavailableError(
            f"what answers at {base_url} is not Beforehand; name the service with --url"
        ) from error
    if response.status_code < 400:
        return answered
    problem = f"{answered.get('title', 'refused')}: {answered.get('detail', response.status_code)}"
    nearest = [each.get("question", "") for each in answered.get("suggestions", [])]
    if nearest:
        problem += "\nAnticipated are:\n" + "\n".join(f"  {each}" for each in nearest)
    raise (LlmUnavailableError if response.status_code >= 500 else QuestionError)(problem)


def render_answer(response: dict[str, Any]) -> str:
    """Return an answer as lines for a terminal: the text, its sources, where it came from."""
    paragraphs = str(response["answer"]).split("\n")
    lines = [textwrap.fill(each, _WIDTH, replace_whitespace=False) for each in paragraphs]
    citations = response.get("citations", [])
    if citations:
        lines += ["", "Sources" if any(each["kind"] == "cited" for each in citations) else "Sources consulted"]
    for each in citations:
        place = " — ".join(part for part in (each["title"], each.get("heading")) if part)
        lines.append(f"  [{each['number']}] {place}")
        lines.append(textwrap.indent(textwrap.shorten(each["passage"], _WIDTH * 2 - 20, placeholder=" …"), "      "))
    facts = [response["source"], response.get("model"), response.get("release")]
    took = response.get("timings", {}).get("total_ms")
    facts += [f"{took:.1f} ms"] if took is not None else []
    return "\n".join([*lines, "", " · ".join(str(fact) for fact in facts if fact)])
