"""Asking a running service from the terminal: one request, and the answer with its sources as text."""

from __future__ import annotations

import textwrap
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

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
        QuestionError: there is no question, or the service refuses it; the message is then the service's.
        LlmUnavailableError: the service can't be reached, or has no answer now.
    """
    _require_text(question=question, collection=collection or "", key=key or "")
    body = {"question": question, "explain": explain} | ({"collection": collection} if collection else {})
    headers = {b"authorization": f"Bearer {key}".encode()} if key else {}
    try:
        with httpx.Client(timeout=timeout, trust_env=not _is_loopback(base_url)) as client:
            response = client.post(f"{base_url}/v1/answers", json=body, headers=headers)
        answered: dict[str, Any] = response.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
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


def _require_text(**given: str) -> None:
    if not given["question"].strip():
        raise QuestionError("the question is empty; write it between quotation marks")
    for name, text in given.items():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # Python shows bytes that are no UTF-8 as halves of characters
            raise QuestionError(f"the {name} is not UTF-8; set the terminal to UTF-8 and type it again") from None


def _is_loopback(url: str) -> bool:
    """Tell whether a service runs on this machine, which no proxy lies before."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:  # a name, or no address at all
        return False


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
