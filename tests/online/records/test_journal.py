"""The journal: complete, honest about sources, and silent about what is private."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from online.records.journal import Journal, JournalRow
from tests.fake_llm import FakeLlm
from tests.online.conftest import Library, journal, recorded
from warehouse.tables import JOURNAL

OPEN = "When does the library open?"
NEW = "Where can people park their cars?"


def record(number: int) -> JournalRow:
    return JournalRow(kind="request", request_id=f"r{number}", at=datetime.now(UTC))


def test_feedback_without_a_collection_gets_that_of_its_request(tmp_path: Path) -> None:
    written = Journal(tmp_path / "journal")
    written.start()
    asked = [("r1", "a", "library"), ("r2", "a", "library"), ("r2", "a", "museum"), ("r3", "b", "museum")]
    for request_id, key, collection in asked:
        written.append(
            JournalRow(kind="request", request_id=request_id, at=datetime.now(UTC), key_id=key, collection=collection)
        )
    for request_id in ("r1", "r2", "r3", "r4"):
        written.append(JournalRow(kind="feedback", request_id=request_id, at=datetime.now(UTC), key_id="a"))
    written.close()

    votes = [each for each in journal(tmp_path) if each["kind"] == "feedback"]
    assert {each["request_id"]: each.get("collection") for each in votes} == {
        "r1": "library", "r2": None, "r3": None, "r4": None,
    }  # fmt: skip


def test_each_request_leaves_one_row_with_its_source(client: httpx.Client, library: Library, llm: FakeLlm) -> None:
    for question in (OPEN, f"Please, {OPEN}", NEW):
        client.post("/v1/answers", json={"question": question})
    llm.behaviour.fail_with = 500
    client.post("/v1/answers", json={"question": "And bicycles?"})
    records = recorded(library.data, 4)
    assert [each["source"] for each in records] == ["exact", "semantic", "live", "refused"]
    assert [each["status"] for each in records] == [200, 200, 200, 503]
    assert records[0]["cache_status"] == "beforehand; hit; detail=exact"
    live = records[2]
    assert live["answer"] == llm.behaviour.text
    assert NEW in json.loads(live["prompt"])[-1]["content"]
    assert json.loads(live["citations"])[0]["kind"] == "cited"
    assert live["llm_seconds"] <= live["total_seconds"]
    assert live["completion_tokens"] > 0


def test_a_fault_of_the_service_is_recorded_and_counted(
    client: httpx.Client, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.app.state.service.lookup, "pool", None)
    responses = [
        client.post("/v1/answers", json={"question": NEW}),
        client.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": NEW}]}),
        client.post("/", data={"question": NEW}),
    ]
    assert [response.status_code for response in responses] == [500] * 3
    records = recorded(library.data, 3)
    assert [each["route"] for each in records] == ["answers", "chat", "page"]
    assert {(each["source"], each["status"], each["refusal"]) for each in records} == {("failed", 500, "internal")}
    assert 'beforehand_requests_total{source="failed"} 3.0' in client.get("/metrics").text


def test_a_bypassed_chat_records_no_question_whatever_its_outcome(
    client: httpx.Client, library: Library, llm: FakeLlm
) -> None:
    asked = "When does the library close in the afternoon?"
    body = {"model": "m", "messages": [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": asked}]}
    for status in (None, 400, 500):
        llm.behaviour.fail_with = status
        client.post("/v1/chat/completions", json=body)
    records = recorded(library.data, 3)
    assert [each["source"] for each in records] == ["bypass", "refused", "refused"]
    assert not any({"question", "query_key"} & each.keys() for each in records)


def test_no_store_keeps_the_text_out_of_the_journal(client: httpx.Client, library: Library) -> None:
    client.post("/v1/answers", json={"question": "Is 4711 my secret?"}, headers={"Cache-Control": "no-store"})
    records = recorded(library.data, 1)
    assert records[0]["source"] == "live"
    assert "4711" not in json.dumps(records)
    assert "question" not in records[0]


def test_a_header_may_come_in_several_lines(client: httpx.Client, library: Library) -> None:
    lines = [("Cache-Control", "no-store"), ("Cache-Control", "no-cache")]
    response = client.post("/v1/answers", json={"question": OPEN}, headers=lines)
    assert response.headers["cache-status"] == "beforehand; fwd=bypass"
    records = recorded(library.data, 1)
    assert records[0]["source"] == "live"
    assert not {"question", "answer", "prompt"} & records[0].keys()


def test_feedback_names_the_request_that_it_is_about(client: httpx.Client, library: Library) -> None:
    answer = client.post("/v1/answers", json={"question": OPEN}).json()
    client.post("/v1/feedback", json={"request_id": answer["id"], "helpful": False, "comment": "Too short."})
    said = recorded(library.data, 2)[1]
    assert (said["kind"], said["request_id"], said["helpful"], said["comment"]) == (
        "feedback", answer["id"], False, "Too short.",
    )  # fmt: skip


def test_a_stream_is_recorded_like_a_whole_answer(client: httpx.Client, library: Library, llm: FakeLlm) -> None:
    with client.stream("POST", "/v1/answers", json={"question": NEW, "stream": True}) as response:
        text = response.read().decode()
    events = [part.split("\n")[0].removeprefix("event: ") for part in text.strip().split("\n\n")]
    assert events[0] == "start"
    assert events[-1] == "answer"
    assert set(events[1:-1]) == {"delta"}
    records = recorded(library.data, 1)
    assert records[0]["streamed"] is True
    assert records[0]["answer"] == llm.behaviour.text


def test_closing_writes_all_rows_and_closes_the_segment(tmp_path: Path) -> None:
    written = Journal(tmp_path / "journal")
    written.start()
    for number in range(5000):
        written.append(record(number))
    written.close()
    assert [each["request_id"] for each in journal(tmp_path)] == [f"r{number}" for number in range(5000)]
    assert not list((tmp_path / "journal").glob("*.open"))


def test_segments_that_a_crash_left_open_are_closed_by_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    gone, alive = (
        folder / "20260101T000000-4194999-1.jsonl.open",
        folder / f"20260101T000000-{os.getppid()}-1.jsonl.open",
    )
    gone.write_text("{}\n")
    alive.write_text("{}\n")
    fresh = Journal(folder)
    fresh.start()
    fresh.close()
    assert (folder / "20260101T000000-4194999-1.jsonl").exists()
    assert alive.exists()


def test_a_failing_disk_costs_rows_but_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[int] = []
    written = Journal(tmp_path / "journal", lost.append)
    written.start()
    monkeypatch.setattr(os, "open", _full)
    written.append(record(1))
    written.close()
    assert sum(lost) == 1


def test_a_row_that_can_not_be_encoded_is_counted_and_costs_no_other(tmp_path: Path) -> None:
    lost: list[int] = []
    written = Journal(tmp_path / "journal", lost.append)
    written.start()
    torn = record(2)
    torn.answer = "half a character: \ud83d"
    for each in (record(1), torn, record(3)):
        written.append(each)
    written.close()
    assert [each["request_id"] for each in journal(tmp_path)] == ["r1", "r3"]
    assert lost == [1]


def _full(*_: object, **__: object) -> int:
    raise OSError(28, "No space left on device")


def test_the_columns_are_those_of_the_history() -> None:
    assert list(JournalRow.__struct_fields__) == JOURNAL.names
