"""Client of a running service: sends one question and renders the answer with its sources as text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TypedDict, cast
from urllib.parse import urlsplit

import httpx

from rag.errors import LlmUnavailableError, QuestionError

_WIDTH = 88


class CitationBody(TypedDict, total=False):
    """A citation in a response."""

    number: int
    kind: str
    title: str
    heading: str | None
    passage: str
    url: str


class HandoverBody(TypedDict):
    """Where the team answers what the service does not."""

    text: str
    url: str | None


class AnswerBody(TypedDict, total=False):
    """The fields of a response that are printed; `--json` prints all."""

    answer: str
    source: str
    model: str | None
    release: str | None
    citations: list[CitationBody]
    timings: dict[str, float]
    reason: str
    handover: HandoverBody | None
    suggestions: list[dict[str, str]]


class ProblemBody(TypedDict, total=False):
    """A refusal (RFC 9457), with suggestions."""

    title: str
    detail: str
    suggestions: list[dict[str, str]]


def ask_service(
    base_url: str,
    question: str,
    *,
    collection: str | None = None,
    key: str | None = None,
    filters: Sequence[str] = (),
    explain: bool = False,
    timeout: float = 60.0,
) -> AnswerBody:
    """Return the response of `POST /v1/answers`; `key` is an API key, `timeout` is in seconds.

    `filters` are values of the collection's filters, as `version=2`.

    Raises:
        QuestionError: the question is empty, or the service refuses it, with its message.
        LlmUnavailableError: the service can't be reached, or has no answer now.
    """
    _require_text(question=question, collection=collection or "", key=key or "")
    request: dict[str, object] = {"question": question, "explain": explain}
    request |= {"collection": collection} if collection else {}
    request |= {"filters": named_filters(filters)} if filters else {}
    headers = {b"authorization": f"Bearer {key}".encode()} if key else {}
    try:
        with httpx.Client(timeout=timeout, trust_env=not _is_loopback(base_url)) as client:
            response = client.post(f"{base_url}/v1/answers", json=request, headers=headers)
        body: object = response.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LlmUnavailableError(
            f"no service answers at {base_url} ({error}); start one with `beforehand serve`"
        ) from error
    except ValueError as error:
        raise LlmUnavailableError(
            f"what answers at {base_url} is not Beforehand; name the service with --url"
        ) from error
    if response.status_code < 400:
        return cast(AnswerBody, body)
    message = _message(cast(ProblemBody, body), response.status_code)
    raise (LlmUnavailableError if response.status_code >= 500 else QuestionError)(message)


def named_filters(filters: Sequence[str]) -> dict[str, str]:
    """Return the values of filters by field, of texts as `version=2`.

    Raises:
        QuestionError: one is not written so.
    """
    return dict(map(_named, filters))


def _named(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise QuestionError(f"--filter {text}: write FIELD=VALUE, as in --filter version=2")
    return field.strip(), value.strip()


def _message(problem: ProblemBody, status: int) -> str:
    message = f"{problem.get('title', 'refused')}: {problem.get('detail', status)}"
    return "\n".join([message, *_suggested(problem.get("suggestions", []))])


def _suggested(suggestions: list[dict[str, str]]) -> list[str]:
    nearest = [f"  {each.get('question', '')}" for each in suggestions]
    return ["Anticipated are:", *nearest] if nearest else []


def _require_text(**given: str) -> None:
    if not given["question"].strip():
        raise QuestionError("the question is empty; write it between quotation marks")
    for name, text in given.items():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # arguments that aren't UTF-8 contain lone surrogates
            raise QuestionError(f"the {name} is not UTF-8; set the terminal to UTF-8 and type it again") from None


def _is_loopback(url: str) -> bool:
    """Whether a service runs on this machine, so that no proxy is needed."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:  # a host name, or not a URL
        return False


def render_answer(response: AnswerBody) -> str:
    """Return an answer as text for a terminal, with its sources and where it came from."""
    paragraphs = str(response["answer"]).split("\n")
    lines = [textwrap.fill(each, _WIDTH, replace_whitespace=False) for each in paragraphs]
    handover = response.get("handover")
    if handover:
        lines += [each for each in (handover["text"], handover["url"]) if each and each not in lines]
    lines += _suggested(response.get("suggestions", []))
    citations = response.get("citations", [])
    if citations:
        lines += ["", "Sources" if any(each["kind"] == "cited" for each in citations) else "Sources consulted"]
    for each in citations:
        place = " — ".join(part for part in (each["title"], each.get("heading")) if part)
        lines.append(f"  [{each['number']}] {place}")
        lines += [f"      {each['url']}"] if each.get("url") else []
        lines.append(textwrap.indent(textwrap.shorten(each["passage"], _WIDTH * 2 - 20, placeholder=" …"), "      "))
    facts = [response["source"], response.get("reason"), response.get("model"), response.get("release")]
    took = response.get("timings", {}).get("total_ms")
    facts += [f"{took:.1f} ms"] if took is not None else []
    return "\n".join([*lines, "", " · ".join(str(fact) for fact in facts if fact)])
