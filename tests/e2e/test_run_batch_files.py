"""The files for vLLM's run-batch: its own models read what we write, and we read what they write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch.generation.batch_lines import Failure, read_results, write_requests
from batch.generation.prompt_files import ChatRow
from rag.llm.protocol import Sampling

pytestmark = pytest.mark.vllm


def test_run_batch_reads_our_requests_and_we_read_its_results(tmp_path: Path) -> None:
    from vllm.entrypoints.launchers.run_batch import (
        BatchRequestInput,
        BatchRequestOutput,
        BatchResponseData,
        make_error_request_output,
    )
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionResponse

    messages = json.dumps([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}])
    rows: list[ChatRow] = [
        {"collection": "", "question": "", "fingerprint": name, "messages": messages, "prefix": ""}
        for name in ("a", "b")
    ]
    sampling = Sampling(max_tokens=8, frequency_penalty=0.5, repetition_penalty=1.1, stop=("\n\n",))
    ((path, _),) = write_requests(rows, "smollm2", sampling, tmp_path, 10, 10**6)
    asked = [BatchRequestInput.model_validate_json(line) for line in path.read_text().splitlines()]
    message = {"role": "assistant", "content": "Me."}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    body = ChatCompletionResponse(
        model="smollm2", choices=[{"index": 0, "message": message, "finish_reason": "stop"}], usage=usage
    )
    answered = BatchRequestOutput(
        id="vllm-1", custom_id="a", response=BatchResponseData(request_id="r", body=body), error=None
    )
    outputs = tmp_path / "results.jsonl"
    refused = make_error_request_output(asked[1], "too long")
    outputs.write_text(f"{answered.model_dump_json()}\n{refused.model_dump_json()}\n")

    results = read_results([outputs], {"a": "smollm2", "b": "smollm2"}, "run-1")

    assert [(each.custom_id, each.body.max_tokens, each.body.stop) for each in asked] == [
        (name, 8, ["\n\n"]) for name in ("a", "b")
    ]
    assert [(row["fingerprint"], row["text"], row["completion_tokens"]) for row in results.answers] == [("a", "Me.", 2)]
    reason = "line 2 of results.jsonl: the model answered 400: too long"
    assert results.failures == [Failure("b", "line 2 of results.jsonl", reason)]
