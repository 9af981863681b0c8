"""Renders answers as bytes and headers."""

from __future__ import annotations

import datetime
import math
import time
from typing import TYPE_CHECKING

import msgspec

from online.answering.question import Asked, Live, LiveAnswer, Prepared, Sought, Unanswered
from online.answering.safe_html import safe_html
from online.http.responses import RawHeaders
from online.http.schemas import Answer, AnswerSource, Citation, JsonObject, Timings
from rag.selection.certificate import SelectionCertificate

if TYPE_CHECKING:
    from rag.prompting.citations import CitedPassage


_HITS = {"exact": "beforehand; hit; detail=exact", "semantic": "beforehand; hit; detail=semantic"}


def cache_status(asked: Asked, source: AnswerSource, *, joined: bool = False) -> str:
    """Return the value of Cache-Status (RFC 9211)."""
    if source in _HITS:
        return _HITS[source]
    if source == "withheld":
        return "beforehand; detail=withheld"
    status = "beforehand; fwd=bypass" if asked.fresh else "beforehand; fwd=miss"
    if joined and not asked.fresh:
        status += "; collapsed"
    return f"{status}; detail=unreliable" if source == "unreliable" else status


def provenance(asked: Asked, answer: Prepared | Unanswered | Live) -> RawHeaders:
    """Return the headers that say where an answer came from."""
    if isinstance(answer, Unanswered):
        return _never_stored(asked, answer)
    if isinstance(answer, Live) and isinstance(answer.settled, Unanswered):
        return _never_stored(asked, answer.settled, joined=answer.joined)
    if isinstance(answer, Prepared):
        status, age = cache_status(asked, answer.source), answer.age_seconds
    else:
        status, age = cache_status(asked, "live", joined=answer.joined), 0
    return [
        (b"cache-status", status.encode()),
        (b"age", b"%d" % age),
        (b"etag", b'"%b"' % answer.fingerprint.encode()),
        (b"cache-control", b"private, no-cache"),
    ]


def _never_stored(asked: Asked, told: Unanswered, *, joined: bool = False) -> RawHeaders:
    status = cache_status(asked, told.source, joined=joined)
    return [(b"cache-status", status.encode()), (b"cache-control", b"no-store")]


async def answer_body(asked: Asked, answer: Prepared | Unanswered | Live) -> bytes:
    """Return a whole answer as JSON; a live one is waited for."""
    if isinstance(answer, Prepared):
        return prepared_body(asked, answer)
    if isinstance(answer, Unanswered):
        return msgspec.json.encode(unanswered(asked, answer))
    result = await answer.result()
    shown = unanswered(asked, result) if isinstance(result, Unanswered) else live_answer(asked, answer, result)
    return msgspec.json.encode(shown)


def prepared_body(asked: Asked, prepared: Prepared) -> bytes:
    """Return an anticipated answer as JSON.

    An exact hit splices this request's fields in front of the stored bytes; request and release ids are
    made of characters that JSON does not escape.
    """
    total = (time.perf_counter() - asked.started) * 1000
    if prepared.source == "exact" and not asked.explain and not asked.html:
        return (
            b'{"id":"%b","source":"exact","confidence":1.0,"release":"%b","age_seconds":%d,"timings":{"total_ms":%.3f,'
            b'"embed_ms":0,"retrieve_ms":0,"queue_ms":0,"llm_ms":0},%b'
            % (
                asked.request_id.encode(),
                prepared.release_id.encode(),
                prepared.age_seconds,
                total,
                prepared.body[1:],
            )
        )
    return msgspec.json.encode(_prepared_fields(asked, prepared, total))


def _prepared_fields(asked: Asked, prepared: Prepared, total: float) -> JsonObject:
    fields: JsonObject = msgspec.json.decode(prepared.body)
    sought = prepared.sought
    embed = 0.0 if sought is None else sought.embed_seconds * 1000
    fields |= {
        "id": asked.request_id,
        "source": prepared.source,
        "confidence": round(prepared.confidence, 4),
        "release": prepared.release_id,
        "age_seconds": prepared.age_seconds,
        "timings": Timings(total_ms=round(total, 3), embed_ms=round(embed, 3)),
    }
    if sought is not None:
        fields |= {"matched_question": fields["question"], "question": asked.question}
    if asked.explain:
        fields["explanation"] = explanation(sought, worded=bool(prepared.wording_key))
    if asked.html:
        fields["html"] = safe_html(fields["answer"], {each["number"] for each in fields["citations"]})
    return fields


def explanation(sought: Sought | None, *, worded: bool = False) -> JsonObject:
    """Return how an answer was chosen: the candidates and the verifier's decision.

    `worded` says that an exact hit is a further wording. Of candidates the primary question is shown.
    """
    if sought is None:
        what = "the question is a wording of an anticipated one" if worded else "the question is anticipated"
        return {"decision": f"exact: {what}, word for word after normalisation"}
    decision = sought.decision
    explained: JsonObject = {
        "decision": sought.refusal if sought.hit is None else "semantic: an anticipated question asks the same",
        "candidates": [
            {
                "question": each.shown,
                "query_key": each.query_key,
                "wording_key": each.wording_key,
                "similarity": round(float(each.similarity), 4),
            }
            for each in sought.candidates
        ],
    }
    if decision is not None:
        judge = "selector" if isinstance(sought.certificate, SelectionCertificate) else "verifier"
        explained[judge] = {
            "accepted": bool(decision.accepted),
            "score": float(decision.score),
            "threshold": decision.threshold if math.isfinite(decision.threshold) else None,
            "reason": decision.reason,
            "certificate": sought.certificate and sought.certificate.as_json(),
            "features": {name: float(value) for name, value in decision.features.items()},
        }
    return explained


def citations(linked: tuple[CitedPassage, ...]) -> list[Citation]:
    """Return the sources of a live answer."""
    return [
        Citation(
            number=each.passage.number,
            kind="cited" if each.kind == "cited" else "consulted",
            document_id=each.passage.chunk.document_id,
            title=each.passage.chunk.title,
            uri=each.passage.chunk.uri,
            heading=each.passage.chunk.heading,
            passage=each.passage.chunk.text,
            chunk_id=each.passage.chunk.chunk_id,
            url=each.passage.chunk.url,
            metadata=dict(each.passage.chunk.metadata),
        )
        for each in linked
    ]


def live_answer(asked: Asked, begun: Live, live: LiveAnswer) -> Answer:
    """Return a live answer as JSON fields for one of its callers."""
    sources = citations(live.linked.citations)
    return Answer(
        id=asked.request_id,
        question=asked.question,
        collection=asked.collection,
        answer=live.linked.text,
        source="live",
        origin="generated",
        confidence=min(1.0, max(0.0, live.support)),
        citations=sources,
        model=live.completion.model,
        release=begun.release_id,
        fingerprint=begun.fingerprint,
        query_key=asked.query_key,
        generated_at=live.generated_at,
        age_seconds=0,
        finish_reason=live.completion.finish_reason,
        support=live.support,
        timings=timings(asked, begun, live),
        html=safe_html(live.linked.text, {each.number for each in sources}) if asked.html else "",
        documents=sorted({each.document_id for each in sources}),
        explanation=explanation(begun.opening.sought) | {"rewritten": begun.opening.rewritten}
        if asked.explain
        else None,
        filters=dict(asked.filters),
    )


def unanswered(asked: Asked, told: Unanswered) -> Answer:
    """Return what is told instead of an answer, in the fields of one."""
    explained = explanation(told.sought) if asked.explain and told.sought is not None else None
    return Answer(
        id=asked.request_id,
        question=asked.question,
        collection=asked.collection,
        answer=told.text,
        source=told.source,
        origin="none",
        confidence=0.0,
        citations=[],
        model="",
        release=told.release_id,
        fingerprint="",
        query_key=asked.query_key,
        generated_at=datetime.datetime.now(datetime.UTC),
        age_seconds=0,
        finish_reason=None,
        support=None,
        timings=Timings(total_ms=round((time.perf_counter() - asked.started) * 1000, 3)),
        explanation=explained,
        filters=dict(asked.filters),
        reason=told.reason,
        suggestions=list(told.suggestions),
        handover=told.handover,
    )


def timings(asked: Asked, begun: Live, live: LiveAnswer) -> Timings:
    """Return where the time of a live answer went."""
    return Timings(
        total_ms=round((time.perf_counter() - asked.started) * 1000, 3),
        embed_ms=round(begun.opening.sought.embed_seconds * 1000, 3),
        retrieve_ms=round(begun.opening.retrieve_seconds * 1000, 3),
        queue_ms=round(begun.opening.queue_seconds * 1000, 3),
        llm_ms=round(live.llm_seconds * 1000, 3),
    )
