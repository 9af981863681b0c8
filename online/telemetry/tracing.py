"""OpenTelemetry traces, from the request to the language model (extra `otel`; off by default).

The usual variables set the exporter (OTEL_EXPORTER_OTLP_ENDPOINT and so on). Names follow the semantic conventions for
HTTP and, of 1.38 and in development, for generative AI. No question or answer is ever an attribute.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from starlette.types import Scope

from rag.errors import ConfigurationError
from rag.llm.protocol import Completion, Sampling

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class Tracing:
    """Makes spans, and exports them in the background."""

    def __init__(self) -> None:
        """Set up the exporter.

        Raises:
            ConfigurationError: the extra is not installed.
        """
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ConfigurationError(
                f"[service] tracing = true: {error.name} is not installed; install the extra `otel`"
            ) from error
        self._propagate, self._kinds = propagate, trace.SpanKind
        self._provider = TracerProvider(resource=Resource.create({"service.name": "beforehand"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("beforehand")

    @contextlib.contextmanager
    def request(self, scope: Scope) -> Iterator[Span]:
        """Span one request, under the caller's trace if there is one."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with self._tracer.start_as_current_span(
            scope["method"],
            context=self._propagate.extract(carrier),
            kind=self._kinds.SERVER,
            attributes=attributes | {"beforehand.request_id": scope["request_id"]},
        ) as span:
            yield span

    @contextlib.contextmanager
    def call(self, model: str, sampling: Sampling) -> Iterator[Span]:
        """Span one call to the language model; `completed` adds its outcome."""
        attributes: dict[str, str | int | float] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": sampling.max_tokens,
            "gen_ai.request.temperature": sampling.temperature,
        }
        with self._tracer.start_as_current_span(
            f"chat {model}", kind=self._kinds.CLIENT, attributes=attributes
        ) as span:
            yield span

    def headers(self) -> Mapping[str, str]:
        """Return the headers that propagate the current trace to the language model."""
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier)
        return carrier

    def close(self) -> None:
        """Export the waiting spans."""
        self._provider.shutdown()


def completed(span: Span, completion: Completion) -> None:
    """Add the outcome of a call to its span."""
    span.set_attributes(
        {
            "gen_ai.response.model": completion.model,
            "gen_ai.response.finish_reasons": [completion.finish_reason],
            "gen_ai.usage.input_tokens": completion.prompt_tokens,
            "gen_ai.usage.output_tokens": completion.completion_tokens,
        }
    )
