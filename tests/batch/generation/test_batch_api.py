"""Generation through a Batch API, over HTTP: every prompt is answered and paid once, whatever happens on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batch.generation import generating
from batch.generation.submissions import open_submissions
from batch.plan import RunPlan
from batch.stages.generate import prompts_folder, task_of
from batch.stores.generation_store import find_generations, known_fingerprints
from batch.stores.parquet import count_rows, read_rows
from rag.errors import AnswersPendingError, LlmMisconfiguredError, LlmUnavailableError
from rag.llm.openai_batches import OpenAIBatches
from tests.fake_batches import FakeBatches
from warehouse.tables import RejectRow

Plans = Callable[..., RunPlan]


def generate(plan: RunPlan, count: int) -> list[RejectRow]:
    """Generate what has no answer yet of `count` prompts, and return the rejects."""
    known = known_fingerprints(plan.answer_store)
    order = [name for name in (f"{number:04}" for number in range(count)) if name not in known]
    generating.generate_ordered(plan, prompts_folder(plan), order, task_of(plan), "answers")
    return read_rows(f"{plan.folder('generate')}/rejects", RejectRow)


def all_answered_once(plan: RunPlan, batches: FakeBatches, count: int) -> bool:
    paid = sorted(batches.answered.elements()) == [f"{number:04}" for number in range(count)]
    return paid and count_rows(plan.answer_store) == count and not open_submissions(plan.data)


def test_a_batch_is_waited_for_and_its_answers_are_kept(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(5, "batch_api", batches.url)
    batches.behaviour.looks = 3

    rejects = generate(plan, 5)

    assert all_answered_once(plan, batches, 5) and not rejects
    answer = find_generations(plan.answer_store, ["0003"])["0003"]
    assert (answer["text"], answer["completion_tokens"], answer["run_id"]) == ("Yes to question 3", 4, "run-1")
    line = batches.requests()[0]
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    assert line["body"]["model"] == "fake-model" and "stream" not in line["body"]


def test_many_prompts_are_several_batches(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(10, "batch_api", batches.url, batch_requests="4")

    generate(plan, 10)

    assert [each["request_counts"]["total"] for each in batches.batches.values()] == [4, 4, 2]
    assert all_answered_once(plan, batches, 10)


def test_a_stopped_run_is_continued_with_the_same_batch(
    plan_of: Plans, batches: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_client: OpenAIBatches, _batch: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(OpenAIBatches, "get", killed)
        with pytest.raises(KeyboardInterrupt):
            generate(plan_of(5, "batch_api", batches.url), 5)

    plan = plan_of(5, "batch_api", batches.url, run_id="run-2")
    generate(plan, 5)

    assert len(batches.batches) == 1
    assert all_answered_once(plan, batches, 5)


def test_a_batch_whose_creation_was_not_confirmed_is_found_again(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(5, "batch_api", batches.url)
    batches.behaviour.loses_reply_of_create = True
    with pytest.raises(LlmUnavailableError):
        generate(plan, 5)

    generate(plan, 5)

    assert len(batches.batches) == 1
    assert all_answered_once(plan, batches, 5)


def test_prompts_that_are_new_since_the_batch_are_a_batch_of_their_own(plan_of: Plans, batches: FakeBatches) -> None:
    batches.behaviour.loses_reply_of_create = True
    with pytest.raises(LlmUnavailableError):
        generate(plan_of(5, "batch_api", batches.url), 5)
    batches.behaviour.loses_reply_of_create = False

    plan = plan_of(8, "batch_api", batches.url)
    generate(plan, 8)

    assert [each["request_counts"]["total"] for each in batches.batches.values()] == [5, 3]
    assert all_answered_once(plan, batches, 8)


def test_what_an_expired_batch_answered_is_kept_and_the_rest_is_asked_again(
    plan_of: Plans, batches: FakeBatches
) -> None:
    plan = plan_of(5, "batch_api", batches.url)
    batches.behaviour.ends = ["expired"]
    batches.behaviour.answered_of_expired = 2

    rejects = generate(plan, 5)

    assert [len(batches._lines(each)) for each in batches.batches.values()] == [5, 3]
    assert all_answered_once(plan, batches, 5) and not rejects


def test_a_prompt_without_an_answer_in_three_batches_is_a_reject(plan_of: Plans, batches: FakeBatches) -> None:
    batches.behaviour.ends = ["expired"] * 5

    (reject,) = generate(plan_of(1, "batch_api", batches.url), 1)

    assert (reject["item"], len(batches.batches)) == ("question 0", 3)
    assert "no answer after 3 batches, the last of which is expired" in reject["reason"]


def test_a_prompt_that_is_refused_is_a_reject_with_its_question(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(3, "batch_api", batches.url)
    batches.behaviour.refuses = lambda line: "too long" if line["custom_id"] == "0001" else None

    (reject,) = generate(plan, 3)

    assert reject["item"] == "question 1" and "answered 400: too long" in reject["reason"]
    assert known_fingerprints(plan.answer_store) == {"0000", "0002"}
    assert len(batches.batches) == 1 and not open_submissions(plan.data)


def test_odd_lines_are_rejects_and_their_prompts_are_asked_again(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(4, "batch_api", batches.url)

    def garbled(lines: list[str]) -> list[str]:
        if len(lines) < 4:
            return lines
        first, second, third, fourth = lines
        other = json.loads(third)
        other["response"]["body"]["model"] = "gpt-2"
        return [first, first, second.replace("0001", "ffff"), json.dumps(other), fourth[: len(fourth) // 2]]

    batches.behaviour.garbled = garbled

    rejects = generate(plan, 4)

    assert [each["reason"].split(" of ", 1)[0] for each in rejects] == [f"line {number}" for number in (2, 3, 4, 5)]
    said = " ".join(each["reason"] for each in rejects)
    assert "once more" in said and "'ffff', which was not asked" in said
    assert "'gpt-2', but 'fake-model' was asked" in said and "half a line" in said
    assert count_rows(plan.answer_store) == 4
    assert [len(batches._lines(each)) for each in batches.batches.values()] == [4, 3]


def test_a_batch_that_the_server_refuses_ends_the_run(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(3, "batch_api", batches.url)
    batches.behaviour.ends = ["failed"]
    batches.behaviour.fault = {"code": "model_not_found", "message": "The model fake-model does not exist"}

    with pytest.raises(LlmMisconfiguredError, match=r"refuses the batch batch_0: The model fake-model does not exist"):
        generate(plan, 3)

    assert not open_submissions(plan.data)


def test_a_full_queue_is_waited_for(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(6, "batch_api", batches.url, batch_requests="3")
    batches.behaviour.ends = ["completed", "failed"]
    batches.behaviour.fault = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    batches.behaviour.looks = 2

    generate(plan, 6)

    assert all_answered_once(plan, batches, 6)


def test_a_batch_that_was_cancelled_ends_the_run_and_the_next_one_asks_for_the_rest(
    plan_of: Plans, batches: FakeBatches
) -> None:
    plan = plan_of(5, "batch_api", batches.url)
    batches.behaviour.ends = ["cancelled"]
    batches.behaviour.answered_of_expired = 2
    batches.behaviour.looks = 2
    with pytest.raises(AnswersPendingError, match="its 2 answers are kept"):
        generate(plan, 5)

    generate(plan, 5)

    assert all_answered_once(plan, batches, 5)


def test_looks_that_fail_are_repeated(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(2, "batch_api", batches.url)
    batches.behaviour.fail_looks = 5

    generate(plan, 2)

    assert all_answered_once(plan, batches, 2)


def test_a_batch_that_the_account_lacks_is_named(plan_of: Plans, batches: FakeBatches) -> None:
    plan = plan_of(2, "batch_api", batches.url)
    batches.behaviour.loses_reply_of_create = True
    with pytest.raises(LlmUnavailableError):
        generate(plan, 2)
    (submission,) = Path(plan.data, "batches").glob("*.json")
    submission.write_text(submission.read_text().replace('"batch": ""', '"batch": "batch_gone"'))

    with pytest.raises(LlmMisconfiguredError, match=r"batch_gone with 2 prompts is not found.*remove .*\.json"):
        generate(plan, 2)


def test_a_batch_at_another_server_is_not_asked_for_twice(plan_of: Plans, batches: FakeBatches) -> None:
    batches.behaviour.loses_reply_of_create = True
    with pytest.raises(LlmUnavailableError):
        generate(plan_of(2, "batch_api", batches.url), 2)

    with pytest.raises(LlmMisconfiguredError, match="2 prompts wait in a batch at"):
        generate(plan_of(2, "batch_api", "http://127.0.0.1:9"), 2)
