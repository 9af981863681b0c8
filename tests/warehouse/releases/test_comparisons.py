"""Comparisons are read as they come in, by everybody in the same order, and go with their release."""

from __future__ import annotations

from warehouse.append_log import Tail, append
from warehouse.releases.comparisons import Comparison, RecordedComparisons, comparisons_file, record_comparison

AGREES = Comparison("main", 0.91, True)
DIFFERS = Comparison("main", 0.8125000000000001, False)


def test_each_comparison_is_returned_once(tmp_path):
    followed = RecordedComparisons(tmp_path, "r1")
    assert followed.new() == ([], False)
    record_comparison(tmp_path, "r1", AGREES)
    record_comparison(tmp_path, "r1", DIFFERS)
    record_comparison(tmp_path, "r2", AGREES)
    assert followed.new()[0] == [AGREES, DIFFERS]
    assert followed.new() == ([], False)
    assert RecordedComparisons(tmp_path, "r1").new()[0] == [AGREES, DIFFERS]


def test_a_line_is_read_once_it_is_complete(tmp_path):
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    append(path, [{"number": 1}])
    with path.open("a") as file:
        file.write('{"numb')
        file.flush()
        assert tail.new()[0] == [{"number": 1}]
        file.write('er": 2}\n{"torn')
    assert tail.new()[0] == [{"number": 2}]
    append(path, [{"number": 3}])
    assert tail.new()[0] == [{"number": 3}]


def test_a_long_file_is_read_in_pieces(tmp_path):
    path = tmp_path / "log.jsonl"
    append(path, [{"number": number, "text": "x" * 1000} for number in range(2500)])
    tail, found = Tail(path), []
    pieces = 0
    while new := tail.new()[0]:
        found += new
        pieces += 1
    assert [each["number"] for each in found] == list(range(2500))
    assert pieces == 3


def test_a_replaced_file_is_read_from_its_start(tmp_path):
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    append(path, [{"number": 1}, {"number": 2}])
    assert tail.new() == ([{"number": 1}, {"number": 2}], True)
    path.unlink()
    assert tail.new() == ([], True)
    append(path, [{"number": 3}])
    assert tail.new() == ([{"number": 3}], True)


def test_malformed_comparisons_are_skipped(tmp_path):
    append(comparisons_file(tmp_path, "r1"), [{"collection": "main"}, {"collection": 1, "score": 1, "agrees": True}])
    record_comparison(tmp_path, "r1", AGREES)
    assert RecordedComparisons(tmp_path, "r1").new()[0] == [AGREES]
