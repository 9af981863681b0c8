"""What a worker raises reaches the caller as it was."""

import apache_beam as beam
import pytest

from batch.pipeline import running_pipeline
from batch.settings import BatchSettings
from rag.errors import LlmUnavailableError


class Plan:
    """What a pipeline needs of a plan."""

    run_id = "r1"
    data = "data"
    settings = BatchSettings()


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), LlmUnavailableError("The model is away.")])
def test_what_a_worker_raises_is_raised_without_the_words_of_beam(raised):
    def fail(_):
        raise raised

    with pytest.raises(type(raised)) as found, running_pipeline(Plan()) as pipeline:
        _ = pipeline | beam.Create([1]) | beam.Map(fail)

    assert str(found.value) == str(raised)
