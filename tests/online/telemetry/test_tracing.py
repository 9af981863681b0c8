"""Traces: one from the caller through the service to the language model, without a word of the question."""

from __future__ import annotations

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from online.app import create_app
from online.settings import ServiceSettings
from online.telemetry.tracing import Tracing
from rag.collection_settings import CollectionSettings
from rag.llm.openai_client import OpenAIEndpoint
from tests.fake_llm import MODEL, FakeLlm, served
from tests.online.conftest import LIBRARY, Library

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_trace_goes_through_to_the_model(library: Library, llm: FakeLlm, monkeypatch: pytest.MonkeyPatch) -> None:
    library.publish(library=LIBRARY)
    bodies: list[bytes] = []

    async def collect(request: Request) -> Response:
        bodies.append(await request.body())
        return Response()

    with served(Starlette(routes=[Route("/v1/traces", collect, methods=["POST"])])) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        tracing = Tracing()
        model = OpenAIEndpoint(llm.url, MODEL, carried=tracing.headers)
        collections = {"library": CollectionSettings(documents=[])}
        settings = ServiceSettings.model_validate({})
        app = create_app(settings, library.data, collections, model, tracing=tracing, on_stop=model.aclose)
        with served(app) as url:
            headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            httpx.post(f"{url}/v1/answers", json={"question": "Is 4711 secret?"}, headers=headers, timeout=120)
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_name = {span.name: span for span in spans}
    assert set(by_name) == {"POST", f"chat {MODEL}"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert by_name[f"chat {MODEL}"].parent_span_id == by_name["POST"].span_id
    assert llm.headers[0]["traceparent"].split("-")[1] == TRACE
    names = {attribute.key for attribute in by_name[f"chat {MODEL}"].attributes}
    assert {"gen_ai.operation.name", "gen_ai.request.model", "gen_ai.usage.output_tokens"} <= names
    assert "4711" not in str(spans)
