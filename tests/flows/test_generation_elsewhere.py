"""A release whose answers are generated elsewhere: the run waits, and the next one goes on."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from beforehand import cli
from flows.ledger import Ledger, run_row
from rag.errors import AnswersPendingError
from tests.corpus_project import Project, ReadingLlm
from warehouse.history.run_log import logged_runs


def test_a_run_waits_for_files_and_publishes_what_was_imported(
    project: Project, llm: ReadingLlm, tmp_path: Path, prefect_api: str
) -> None:
    project.questions = [*project.questions, "Does water go into the tank?"]
    project.sets["batch.generate_with"] = "batch_files"
    with pytest.raises(AnswersPendingError, match=r"1 prompts wait for answers in (.*)\.jsonl") as waiting:
        project.build()
    run = logged_runs(project.data)[-1]
    assert run["status"] == "waiting"
    named = {"flow_runs": {"name": {"any_": [run["run_id"]]}}}
    [flow_run] = httpx.post(f"{prefect_api}/flow_runs/filter", json=named, timeout=120).json()
    assert (flow_run["state_type"], flow_run["state_name"]) == ("COMPLETED", "Waiting")

    (requests,) = (project.data / "batches").glob("*.jsonl")
    assert str(requests) in str(waiting.value)
    lines = [json.loads(line) for line in requests.read_text().splitlines()]
    results = tmp_path / "results.jsonl"
    answered = [
        {
            "custom_id": line["custom_id"],
            "response": {"status_code": 200, "body": llm._answer(line["body"])},
            "error": None,
        }
        for line in lines
    ]
    results.write_text("".join(json.dumps(each) + "\n" for each in answered))
    config = str(project.folder / "beforehand.toml")
    imported = CliRunner().invoke(cli.cli, ["--config", config, "generate", "import", str(results)])
    outcome = project.build()

    assert imported.output == "1 answers are taken; `beforehand run` goes on with them\n"
    assert outcome.ledger.figure("generate", "generated") == 1
    assert project.query("SELECT count(*) FROM answers") == [(len(project.questions),)]


def test_a_batch_is_paid_by_tokens_and_not_by_the_time_of_waiting(project: Project) -> None:
    ledger = Ledger(
        figures={"generate": {"prompt_tokens": 40, "completion_tokens": 8}, "reword": {"prompt_tokens": 5}},
        seconds={"generate": 3600.0, "reword": 2.0},
    )
    rows = {}
    for how in ("endpoints", "batch_api", "batch_files"):
        project.sets["batch.generate_with"] = how
        row = run_row(project.plan(), ledger, "published")
        rows[how] = (row["prompt_tokens"], row["batched_prompt_tokens"], row["generation_seconds"])

    assert rows == {"endpoints": (45, 0, 3602.0), "batch_api": (45, 40, 2.0), "batch_files": (45, 0, 2.0)}
