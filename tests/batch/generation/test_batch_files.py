"""Generation by files: prompts go out in OpenAI's batch format, results come in, from any machine and in any state."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from batch.generation import generating
from batch.generation.batch_files import export, import_results
from batch.generation.batch_lines import write_requests
from batch.generation.prompt_files import ChatRow
from batch.generation.submissions import open_submissions, take_imported
from batch.plan import RunPlan
from batch.stages.generate import prompts_folder, task_of
from batch.stores.generation_store import find_generations, known_fingerprints, made_by_run
from batch.stores.parquet import read_rows
from rag.errors import AnswersPendingError, ConfigurationError
from rag.llm.protocol import Sampling
from tests.fake_batches import says_yes
from warehouse.tables import RejectRow

Plans = Callable[..., RunPlan]


def generate(plan: RunPlan, count: int) -> list[RejectRow]:
    """Run the stage on `count` prompts, and return its rejects."""
    take_imported(plan, plan.answer_store)
    known = known_fingerprints(plan.answer_store)
    order = [name for name in (f"{number:04}" for number in range(count)) if name not in known]
    generating.generate_ordered(plan, prompts_folder(plan), order, task_of(plan), "answers")
    return read_rows(f"{plan.folder('generate')}/rejects", RejectRow)


def requests(plan: RunPlan) -> list[dict[str, object]]:
    """Return the lines of the files that wait."""
    return [
        json.loads(line) for each in open_submissions(plan.data) for line in Path(each.file).read_text().splitlines()
    ]


def result(custom_id: str, status: int = 200, **changed: object) -> dict[str, object]:
    """Return a result as vLLM's run-batch writes it: an error beside a response without a body."""
    body = says_yes({"model": "fake-model", "messages": [{"content": f"question {int(custom_id)}"}]})
    response = {"status_code": status, "request_id": "vllm-batch-1", "body": body if status == 200 else None}
    error = None if status == 200 else {"error": {"message": "too long", "type": "BadRequestError", "code": status}}
    return {"id": "vllm-1", "custom_id": custom_id, "response": response, "error": error} | changed


def results(folder: Path, *lines: dict[str, object]) -> Path:
    path = folder / "results.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_a_run_exports_its_prompts_and_says_what_to_do(plan_of: Plans) -> None:
    plan = plan_of(3, "batch_files")

    with pytest.raises(
        AnswersPendingError, match=r"3 prompts wait for answers in .*\.jsonl; .*--served-model-name fake-m"
    ):
        generate(plan, 3)

    assert [line["custom_id"] for line in requests(plan)] == ["0000", "0001", "0002"]


def test_imported_answers_are_those_of_the_run_that_goes_on(plan_of: Plans, tmp_path: Path) -> None:
    with pytest.raises(AnswersPendingError):
        generate(plan_of(2, "batch_files"), 2)
    plan = plan_of(2, "batch_files", run_id="run-2")

    imported = import_results(plan.data, plan.answer_store, [results(tmp_path, result("0001"), result("0000"))])
    rejects = generate(plan, 2)

    assert (len(imported.answers), imported.failures, rejects) == (2, [], [])
    assert find_generations(plan.answer_store, ["0001"])["0001"]["text"] == "Yes to question 1"
    assert made_by_run(plan.answer_store, "run-2")[0] == {"0000", "0001"}
    assert not open_submissions(plan.data) and not list(Path(plan.data, "batches").glob("*.json*"))


def test_a_run_that_waits_for_a_part_exports_nothing_twice(plan_of: Plans, tmp_path: Path) -> None:
    plan = plan_of(3, "batch_files")
    with pytest.raises(AnswersPendingError):
        generate(plan, 3)
    import_results(plan.data, plan.answer_store, [results(tmp_path, result("0001"))])

    with pytest.raises(AnswersPendingError, match="3 prompts wait"):
        generate(plan_of(4, "batch_files"), 4)

    assert [line["custom_id"] for line in requests(plan)] == ["0000", "0001", "0002", "0003"]


def test_lines_that_cannot_be_used_become_rejects_of_the_next_run(plan_of: Plans, tmp_path: Path) -> None:
    plan = plan_of(4, "batch_files")
    with pytest.raises(AnswersPendingError):
        generate(plan, 4)
    other = result("0002")
    other["response"]["body"]["model"] = "gpt-2"  # type: ignore[index]
    path = results(
        tmp_path, result("0000"), result("0000"), result("0001", 400), other, result("9999"), result("0003", 500)
    )
    path.write_text(path.read_text() + '{"id": "vllm-1", "custom_id": "0003", "respo')

    imported = import_results(plan.data, plan.answer_store, [path])
    import_results(plan.data, plan.answer_store, [results(tmp_path, result("0002"), result("0003"))])
    rejects = generate(plan, 4)

    assert len(imported.answers) == 1
    odd = [f"line {number} of results.jsonl" for number in (2, 4, 5, 7)]
    assert sorted(each["item"] for each in rejects) == [*odd, "question 1"]
    assert "too long" in next(each["reason"] for each in rejects if each["item"] == "question 1")
    assert known_fingerprints(plan.answer_store) == {"0000", "0002", "0003"}


def test_results_are_imported_once(plan_of: Plans, tmp_path: Path) -> None:
    plan = plan_of(2, "batch_files")
    with pytest.raises(AnswersPendingError):
        generate(plan, 2)
    path = results(tmp_path, result("0000"), result("0001"))
    import_results(plan.data, plan.answer_store, [path])

    again = import_results(plan.data, plan.answer_store, [path])

    assert (len(again.answers), again.known) == (0, 2)


def test_a_wrong_model_of_all_lines_refuses_no_prompt(plan_of: Plans, tmp_path: Path) -> None:
    """`vllm run-batch` without --served-model-name answers 404 to each line."""
    plan = plan_of(1, "batch_files")
    with pytest.raises(AnswersPendingError):
        generate(plan, 1)
    import_results(plan.data, plan.answer_store, [results(tmp_path, result("0000", 404))])

    with pytest.raises(AnswersPendingError, match="1 prompts wait"):
        generate(plan, 1)


def test_results_that_nobody_waits_for_are_refused(plan_of: Plans, tmp_path: Path) -> None:
    plan = plan_of(1, "batch_files")

    with pytest.raises(ConfigurationError, match="no prompts wait for answers"):
        import_results(plan.data, plan.answer_store, [results(tmp_path, result("0000"))])


def test_prompts_are_exported_to_a_file_of_ones_own(plan_of: Plans, tmp_path: Path) -> None:
    plan = plan_of(2, "endpoints")

    export(plan, prompts_folder(plan), ["0001"], task_of(plan), tmp_path / "mine.jsonl")

    (line,) = map(json.loads, (tmp_path / "mine.jsonl").read_text().splitlines())
    assert line["custom_id"] == "0001"
    assert line["body"]["messages"] == [{"role": "user", "content": "question 1"}]


@pytest.mark.parametrize(
    ("most", "most_bytes", "sizes"), [(4, 10**9, [4, 4, 2]), (50, 800, [3, 3, 3, 1]), (50, 1, [1] * 10)]
)
def test_files_of_requests_keep_both_limits(tmp_path: Path, most: int, most_bytes: int, sizes: list[int]) -> None:
    rows: list[ChatRow] = [
        {
            "collection": "",
            "question": "",
            "fingerprint": f"{number}",
            "messages": '[{"role": "user", "content": "ä?"}]',
            "prefix": "",
        }
        for number in range(10)
    ]

    written = [
        (names, path.read_bytes()) for path, names in write_requests(rows, "m", Sampling(), tmp_path, most, most_bytes)
    ]

    assert [len(names) for names, _ in written] == sizes
    for names, content in written:
        assert re.findall(rb'"custom_id": "(\d)"', content) == [name.encode() for name in names]
        assert len(content) <= most_bytes or len(names) == 1
