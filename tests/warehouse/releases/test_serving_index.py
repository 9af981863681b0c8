from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import duckdb
import lmdb
import pytest

from tests.warehouse.conftest import key
from warehouse.errors import TornReleaseError
from warehouse.releases.serving_index import ServingIndex, write_serving_index


@pytest.fixture
def index_file(database, tmp_path):
    write_serving_index(database, tmp_path / "serving.lmdb", "r-1")
    return tmp_path / "serving.lmdb"


@pytest.fixture
def index(index_file):
    with ServingIndex(index_file) as index:
        yield index


def test_an_answer_is_found_with_everything_the_service_sends(index):
    assert json.loads(index.answer(key("q1"))) == {
        "question": "What is q1?",
        "collection": "main",
        "answer": "The answer to q1 is in the passage [1].",
        "origin": "generated",
        "citations": [
            {
                "number": 1,
                "kind": "cited",
                "document_id": "d1",
                "title": "Document 1",
                "uri": "file:d1.md",
                "heading": "Heading 1",
                "passage": "Passage 1 about opening hours.",
                "chunk_id": key("c1"),
            }
        ],
        "documents": ["d1"],
        "model": "m",
        "fingerprint": key("f-q1"),
        "query_key": key("q1"),
        "generated_at": "2026-11-20T12:00:00.000000Z",
        "finish_reason": "stop",
        "support": 0.9,
    }


def test_a_withheld_answer_is_kept_apart(tmp_path, publish_rows, rows):
    rows["answers"][0] |= {"status": "withheld", "withheld_reason": "refusal"}
    rows["questions"][1]["origin"] = "canary"
    rows["answers"][1] |= {"status": "withheld", "withheld_reason": "canary"}
    count = write_serving_index(publish_rows(rows).database, tmp_path / "withheld.lmdb", "r-1")

    with ServingIndex(tmp_path / "withheld.lmdb") as index:
        assert index.answer(key("q1")) is None
        assert json.loads(index.withheld(key("q1")))["question"] == "What is q1?"
        assert index.withheld(key("q2")) is None, "nobody should let a canary out"
        assert index.withheld(key("q3")) is None
    assert count == 1


@pytest.mark.parametrize(
    ("told", "until"),
    [
        ("2026-12-01", "2026-12-02T00:00:00Z"),
        ("2026-12-01T10:00:00+02:00", "2026-12-01T08:00:00Z"),
        ("2026-12-01 10:00", "2026-12-01T10:00:00Z"),
        ("next week", None),
        (None, None),
    ],
)
def test_a_curated_answer_says_until_when_it_is_valid(make_database, rows, tmp_path, told, until):
    rows["answers"][0]["origin"] = "curated"
    path = make_database(rows)
    with duckdb.connect(str(path)) as tables:
        tables.execute("UPDATE questions SET metadata = MAP {'valid_until': [?]}", [told])
    write_serving_index(path, tmp_path / "serving.lmdb", "r-1")
    with ServingIndex(tmp_path / "serving.lmdb") as index:
        assert json.loads(index.answer(key("q1"))).get("valid_until") == until
        assert "valid_until" not in json.loads(index.answer(key("q2")))


def test_passages_and_questions_are_found(index):
    assert json.loads(index.chunk(key("c2")))["text"] == "Passage 2 about opening hours."
    assert json.loads(index.question(key("q3"))) == {
        "question": "What is q3?",
        "query_key": key("q3"),
        "collection": "main",
        "fingerprint": key("f-q3"),
    }


def test_a_passage_names_its_neighbours_in_the_document(tmp_path, publish_rows, rows):
    rows["chunks"] = [
        rows["chunks"][0] | {"chunk_id": key(each), "position": position, "tokens": 7}
        for position, each in enumerate(("c1", "cz", "ca"))
    ] + rows["chunks"][1:]
    write_serving_index(publish_rows(rows).database, tmp_path / "neighbours.lmdb", "r-1")

    with ServingIndex(tmp_path / "neighbours.lmdb") as index:
        found = [json.loads(index.chunk(key(each))) for each in ("c1", "cz", "ca", "c2")]

    assert [(each["previous"], each["following"]) for each in found] == [
        ("", key("cz")),
        (key("c1"), key("ca")),
        (key("cz"), ""),
        ("", ""),
    ]
    assert found[0]["tokens"] == 7


def test_an_unknown_key_returns_none(index):
    assert index.answer("nobody asked") is None
    assert index.chunk("") is None
    assert index.question("x" * 4000) is None


def test_a_withheld_answer_is_not_served(make_database, rows, tmp_path):
    rows["answers"][1] |= {"status": "withheld", "withheld_reason": "refusal"}

    served = write_serving_index(make_database(rows), tmp_path / "serving.lmdb", "r-1")

    with ServingIndex(tmp_path / "serving.lmdb") as index:
        assert served == 2
        assert index.answer(key("q2")) is None
        assert index.question(key("q2")) is None
        assert [json.loads(q)["query_key"] for q in index.questions()] == [key("q1"), key("q3")]


def test_texts_in_any_alphabet_are_unchanged(make_database, rows, tmp_path):
    text = 'Grüße, „Ärzte" \\ 日本語 \U0001f600\n\ttab </script>'
    rows["answers"][0]["answer"] = text
    write_serving_index(make_database(rows), tmp_path / "s.lmdb", "r-1")
    with ServingIndex(tmp_path / "s.lmdb") as index:
        assert json.loads(index.answer(key("q1")))["answer"] == text


def test_the_file_grows_beyond_its_first_map(make_database, rows, tmp_path):
    rows["answers"][0]["answer"] = "x" * (20 * 2**20)
    write_serving_index(make_database(rows), tmp_path / "s.lmdb", "r-1")
    with ServingIndex(tmp_path / "s.lmdb") as index:
        assert len(index.answer(key("q1"))) > 20 * 2**20
        assert index.answer(key("q3")) is not None


def test_an_empty_release_has_an_empty_index(make_database, tmp_path):
    write_serving_index(make_database({}), tmp_path / "s.lmdb", "r-1")
    with ServingIndex(tmp_path / "s.lmdb") as index:
        assert list(index.questions()) == []
        assert index.release_id == "r-1"


def test_threads_share_one_index(index):
    expected = {key(q): index.answer(key(q)) for q in ("q1", "q2", "q3")}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: (name, index.answer(name)), list(expected) * 500))
    assert all(expected[name] == body for name, body in found)


def _look_up(path):
    with ServingIndex(path) as index:
        return index.answer(key("q2"))


def test_processes_share_one_read_only_file(index_file, index):
    index_file.chmod(0o444)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert set(pool.map(_look_up, [index_file] * 4)) == {index.answer(key("q2"))}
    assert sorted(p.name for p in index_file.parent.glob("serving*")) == ["serving.lmdb"]


@pytest.mark.parametrize("content", [b"", b"no LMDB" * 1000])
def test_a_torn_file_is_refused(tmp_path, content):
    (tmp_path / "serving.lmdb").write_bytes(content)
    with pytest.raises(TornReleaseError, match=r"serving.lmdb"):
        ServingIndex(tmp_path / "serving.lmdb")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TornReleaseError, match=r"serving.lmdb"):
        ServingIndex(tmp_path / "serving.lmdb")


def test_a_release_from_before_the_format_changed_is_served_and_its_tables_tell_who_asked(make_database, rows):
    rows["questions"][0]["origin"] = "journal"
    database = make_database(rows)
    target = database.with_name("serving.lmdb")
    write_serving_index(database, target, "r-1")
    with lmdb.open(str(target), subdir=False, lock=False) as environment, environment.begin(write=True) as old:
        old.put(b"meta", b'{"release_id": "r-1", "format": 1}')
        old.delete(b"j:" + rows["questions"][0]["query_key"].encode())

    with ServingIndex(target) as index:
        assert index.asked_by_visitors == {rows["questions"][0]["query_key"]}


def test_a_citation_leads_to_its_passage_and_shows_the_fields_that_its_collection_cites(make_database, rows, tmp_path):
    rows["documents"][0] |= {"url": "https://e.example/a", "metadata": {"version": ["2"], "salary": ["high"]}}
    rows["chunks"][0]["url"] = "https://e.example/a#hours"
    write_serving_index(make_database(rows), tmp_path / "linked.lmdb", "r-1", {"main": ["version"]})

    with ServingIndex(tmp_path / "linked.lmdb") as index:
        [citation] = json.loads(index.answer(key("q1")))["citations"]
        passage, other = json.loads(index.chunk(key("c1"))), json.loads(index.chunk(key("c2")))

    for each in (citation, passage):
        assert (each["url"], each["metadata"]) == ("https://e.example/a#hours", {"version": ["2"]})
    assert not other.keys() & {"url", "metadata"}


def test_what_must_not_get_an_answer_must_not_get_another_that_says_the_same(tmp_path, publish_rows, rows):
    said = ("昼休みは十二時からです [1].", "昼休みは十二時からです[2].", "夕方は六時までです [1].")
    for row, answer in zip(rows["answers"], said, strict=True):
        row |= {"answer": answer, "status": "served", "withheld_reason": None}
    fence = {"collection": "main", "text": "What is not q1?", "text_key": key("fence"), "origin": "model"}
    rows["fences"] = [fence | {"query_key": key("q1"), "since": datetime(2026, 11, 26, tzinfo=UTC)}]
    write_serving_index(publish_rows(rows).database, tmp_path / "fenced.lmdb", "r-1")

    with ServingIndex(tmp_path / "fenced.lmdb") as index:
        assert index.fenced_from(key("fence")) == {key("q1"), key("q2")}
