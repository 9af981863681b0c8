"""Generation by an engine in the workers, through Beam's RunInference; importing it loads torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from warehouse.tables import RejectRow

Start = Callable[[], object]
Generate = Callable[[Sequence[str]], list[RejectRow]]


class LlmInference(beam.PTransform):
    """Names of files into rows of rejects: `start` gives the engine, `generate` takes `bundle` names at most."""

    def __init__(self, start: Start, generate: Generate, bundle: int) -> None:
        super().__init__()
        self._handler = LlmHandler(start, generate, bundle)

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        """Apply RunInference."""
        return files | "Infer" >> RunInference(self._handler) | "Rejects" >> beam.FlatMap(list)


class LlmHandler(ModelHandler):
    """Beam's handle on the language model.

    Beam calls `load_model` again for each pipeline; `batch.vllm.engine` returns the engine that the process has.
    """

    def __init__(self, start: Start, generate: Generate, bundle: int) -> None:
        super().__init__()
        self._start = start
        self._generate = generate
        self._bundle = bundle

    def load_model(self) -> object:
        """Start the engine."""
        return self._start()

    def run_inference(
        self, batch: Sequence[str], model: object, inference_args: dict[str, object] | None = None
    ) -> Iterable[list[RejectRow]]:
        """Generate and checkpoint the prompts of all files; yield the rejects."""
        assert model is not None
        assert not inference_args, "the sampling parameters come from the plan"
        yield self._generate(batch)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Return Beam's batch sizes: a bundle is one batch, so that its files are one stream."""
        return {"min_batch_size": self._bundle, "max_batch_size": self._bundle}

    def get_metrics_namespace(self) -> str:
        """Return the name of Beam's own counters."""
        return "beforehand_generate"
