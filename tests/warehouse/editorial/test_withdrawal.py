from __future__ import annotations

import multiprocessing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import ConfigurationError
from warehouse.append_log import append
from warehouse.editorial.withdrawal import (
    Tombstones,
    Withdrawals,
    follow_corpus,
    reinstate,
    tombstone,
    untombstone,
    withdraw,
)
from warehouse.log_line import read


def test_a_running_server_notices_a_withdrawal_and_a_reinstatement(tmp_path):
    server = Withdrawals(tmp_path)
    assert server.documents() == frozenset()
    assert not server.follow()

    withdraw(tmp_path, "main", "d1", "legal")
    assert server.follow()
    assert server.of("main") == {"d1": "legal"}
    assert server.documents() == {("main", "d1")}
    assert not server.follow()

    reinstate(tmp_path, "main", "d1", "settled")
    assert server.follow()
    assert len(server) == 0
    assert server.documents() == frozenset()


def test_a_withdrawal_applies_to_one_collection(tmp_path):
    withdraw(tmp_path, "main", "d1", "legal")
    withdraw(tmp_path, "other", "d2", "legal")
    with pytest.raises(ConfigurationError, match=r"d1: not withdrawn in other, .* withdrawn there: d2"):
        reinstate(tmp_path, "other", "d1", "never was withdrawn there")
    with pytest.raises(ConfigurationError, match="nothing is withdrawn there"):
        reinstate(tmp_path, "third", "d1", "nor there")
    assert Withdrawals(tmp_path).documents() == {("main", "d1"), ("other", "d2")}


def test_documents_withdrawn_by_people_are_distinguished_from_deleted_ones(tmp_path):
    withdraw(tmp_path, "main", "d2", "legal")
    follow_corpus(tmp_path, "main", before=["d1", "d2"], present=["d2"])
    assert Withdrawals(tmp_path).by_people() == {("main", "d2")}


def test_documents_that_left_the_corpus_are_withdrawn_until_they_return(tmp_path):
    withdraw(tmp_path, "main", "d2", "legal")
    follow_corpus(tmp_path, "main", before=["d1", "d2", "d3"], present=["d3"])
    assert Withdrawals(tmp_path).documents() == {("main", "d1"), ("main", "d2")}
    assert Withdrawals(tmp_path).reasons()["main", "d2"] == "legal"

    follow_corpus(tmp_path, "main", before=["d3"], present=["d1", "d2", "d3"])
    assert Withdrawals(tmp_path).documents() == {("main", "d2")}, "what a person withdrew stays withdrawn"


def test_an_unchanged_corpus_writes_nothing(tmp_path):
    follow_corpus(tmp_path, "main", before=["d1"], present=["d1", "d2"])
    assert not (tmp_path / "withdrawals.jsonl").exists()


def test_a_tombstone_applies_to_both_directions_of_a_pair(tmp_path):
    server = Tombstones(tmp_path)
    tombstone(tmp_path, "k1", "k2", "reported")
    assert server.follow()
    assert frozenset({"k2", "k1"}) in server
    untombstone(tmp_path, "k2", "k1", "a mistake")
    assert server.pairs() == frozenset()


def test_a_torn_line_is_skipped_and_the_next_record_starts_a_new_line(tmp_path):
    withdraw(tmp_path, "main", "d1", "legal")
    path = tmp_path / "withdrawals.jsonl"
    path.write_bytes(path.read_bytes() + b'{"action": "withdraw", "collection": "ma')

    withdraw(tmp_path, "main", "d2", "legal")

    assert Withdrawals(tmp_path).documents() == {("main", "d1"), ("main", "d2")}


def test_malformed_records_are_skipped(tmp_path):
    (tmp_path / "tombstones.jsonl").write_text('{"pair": "ab"}\n[1]\nnonsense\n{"action": "add", "pair": [1, 2]}\n')
    assert Tombstones(tmp_path).pairs() == frozenset()


def _append_many(path, name):
    for n in range(50):
        append(path, [{"who": name, "n": n, "padding": "x" * 3000}])


def test_many_processes_append_without_tearing_each_other(tmp_path):
    path = tmp_path / "log.jsonl"
    context = multiprocessing.get_context("forkserver")
    writers = [context.Process(target=_append_many, args=(path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    records = read(path)
    assert len(records) == 150
    for name in "abc":
        assert [r["n"] for r in records if r["who"] == name] == list(range(50))


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(0, 400), texts=st.lists(st.text(), min_size=1, max_size=4))
def test_a_log_cut_anywhere_yields_its_whole_records(tmp_path_factory, cut, texts):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    append(path, [{"text": text} for text in texts])
    path.write_bytes(path.read_bytes()[:cut])
    found = [record["text"] for record in read(path)]
    assert found == texts[: len(found)]
    append(path, [{"text": "after"}])
    assert [record["text"] for record in read(path)] == [*found, "after"]
