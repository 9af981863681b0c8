from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.warehouse.conftest import NOW
from warehouse.analysis.journal import history_dataset
from warehouse.errors import StorageError
from warehouse.history.compaction import Compacted, compact
from warehouse.history.redaction import redact
from warehouse.settings import HistorySettings
from warehouse.tables import JOURNAL

TODAY = NOW.date()
KEEP_ALL = HistorySettings(redaction="off", retention_days=None)


def record(number, **more):
    return {"kind": "request", "request_id": f"id{number}", "at": NOW.isoformat(), "question": f"q{number}"} | more


def write_segment(data, name, records, torn=""):
    folder = data / "journal"
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(r) + "\n" for r in records) + torn
    (folder / f"{name}.jsonl").write_text(text)


def ids(data):
    return sorted(history_dataset(data).to_table(columns=["request_id"]).column(0).to_pylist())


def rows(data):
    return history_dataset(data).to_table().sort_by("request_id").to_pylist()


def test_segments_become_history_and_are_deleted(tmp_path):
    write_segment(tmp_path, "a", [record(1, status=200, streamed=False, confidence=0.5)])
    write_segment(tmp_path, "b", [record(2)])

    done = compact(tmp_path, KEEP_ALL, TODAY)

    assert (done.segments, done.records, done.torn) == (2, 2, 0)
    assert [rows(tmp_path)[0][name] for name in ("at", "status", "streamed", "confidence", "day")] == [
        NOW, 200, False, 0.5, TODAY,
    ]  # fmt: skip
    assert not list((tmp_path / "journal").iterdir())


def test_later_segments_join_the_file_of_their_day(tmp_path):
    for name in "abc":
        write_segment(tmp_path, name, [record(name), record(f"{name}2", at=(NOW + timedelta(days=1)).isoformat())])
        compact(tmp_path, KEEP_ALL, TODAY)
    assert ids(tmp_path) == ["ida", "ida2", "idb", "idb2", "idc", "idc2"]
    assert sorted(str(p.relative_to(tmp_path / "history")) for p in (tmp_path / "history").rglob("*.parquet")) == [
        "day=2026-11-20/history.parquet",
        "day=2026-11-21/history.parquet",
    ]


def test_a_segment_that_is_still_written_is_left_alone(tmp_path):
    write_segment(tmp_path, "a", [record(1)])
    (tmp_path / "journal" / "b.jsonl.open").write_text(json.dumps(record(2)) + "\n")
    compact(tmp_path, KEEP_ALL, TODAY)
    assert ids(tmp_path) == ["id1"]
    assert [p.name for p in (tmp_path / "journal").iterdir()] == ["b.jsonl.open"]


def test_a_torn_last_line_is_counted_and_the_rest_is_kept(tmp_path):
    write_segment(tmp_path, "a", [record(1), record(2)], torn='{"kind": "request", "at": "2026-')
    assert compact(tmp_path, KEEP_ALL, TODAY).torn == 1
    assert ids(tmp_path) == ["id1", "id2"]


@pytest.mark.parametrize(
    "bad",
    ["nonsense", "[1, 2]", "null", '{"kind": "request"}', '{"kind": "request", "at": "yesterday"}',
     '{"at": "2026-11-20T12:00:00Z"}', "\xff\xfe", "[" * 200_000],
    ids=lambda bad: bad[:40],
)  # fmt: skip
def test_a_line_that_is_no_record_is_counted(tmp_path, bad):
    write_segment(tmp_path, "a", [record(1)], torn=f"{bad}\n")
    assert compact(tmp_path, KEEP_ALL, TODAY).torn == 1
    assert ids(tmp_path) == ["id1"]


def test_a_value_that_does_not_fit_its_column_is_dropped_and_the_record_kept(tmp_path):
    odd = record(1, status="many", confidence="high", citations=[{"n": 1}], streamed=1, prompt_tokens=10**30, extra=1)
    write_segment(tmp_path, "a", [odd])
    compact(tmp_path, KEEP_ALL, TODAY)
    (row,) = rows(tmp_path)
    assert [row[n] for n in ("status", "confidence", "streamed", "prompt_tokens")] == [None] * 4
    assert json.loads(row["citations"]) == [{"n": 1}]


def test_values_beyond_utf8_or_a_column_do_not_stop_the_compaction(tmp_path):
    odd = record(1, question="half \ud83d of it", citations=["\udc00"], confidence=10**400, similarity=float("nan"),
                 total_seconds=float("inf"), status=-(10**400), prompt_tokens=float("inf"))  # fmt: skip
    write_segment(tmp_path, "a", [odd, record(2, question="a whole \U0001f600")])
    compact(tmp_path, KEEP_ALL, TODAY)
    first, second = rows(tmp_path)
    assert first["question"] == "half \ufffd of it"
    assert json.loads(first["citations"]) == ["\ufffd"]
    numbers = ("confidence", "similarity", "total_seconds", "status", "prompt_tokens")
    assert [first[name] for name in numbers] == [None] * 5
    assert second["question"] == "a whole \U0001f600"


ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs"]))  # halves of characters included
ANY_NUMBER = st.floats() | st.integers() | st.sampled_from([10**400, -(10**400)])
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
OTHERS = [name for name in JOURNAL.names if name not in ("kind", "request_id", "at")]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(OTHERS), ANY_VALUE), min_size=1, max_size=5))
def test_no_json_value_loses_a_record(found):
    with tempfile.TemporaryDirectory() as folder:
        write_segment(Path(folder), "a", [record(n, **more) for n, more in enumerate(found)])
        done = compact(Path(folder), HistorySettings(redaction="redact", retention_days=None), TODAY)
        assert (done.records, done.torn) == (len(found), 0)
        assert len(rows(Path(folder))) == len(found)


def test_times_in_other_zones_belong_to_their_day_in_utc(tmp_path):
    write_segment(tmp_path, "a", [record(1, at="2026-11-21T00:30:00+02:00")])
    compact(tmp_path, KEEP_ALL, TODAY)
    assert rows(tmp_path)[0]["day"] == date(2026, 11, 20)


def test_days_beyond_the_retention_are_deleted_and_not_written_again(tmp_path):
    old, kept = (NOW - timedelta(days=31)).isoformat(), (NOW - timedelta(days=30)).isoformat()
    write_segment(tmp_path, "a", [record("old", at=old), record("kept", at=kept), record("new")])
    compact(tmp_path, KEEP_ALL, TODAY)
    assert len(ids(tmp_path)) == 3
    write_segment(tmp_path, "b", [record("late", at=old)])

    done = compact(tmp_path, HistorySettings(retention_days=30), TODAY)

    assert done.expired_days == 1
    assert ids(tmp_path) == ["idkept", "idnew"]


@pytest.mark.parametrize("kept", [KEEP_ALL, HistorySettings(retention_days=1)], ids=["for ever", "a day"])
def test_without_anything_to_compact_nothing_is_created(tmp_path, kept):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "a.jsonl.open").touch()
    before = sorted(tmp_path.rglob("*"))
    assert compact(tmp_path, kept, TODAY) == Compacted(0, 0, 0, 0)
    assert ids(tmp_path) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_days_expire_without_a_new_segment(tmp_path):
    write_segment(tmp_path, "a", [record("old", at=(NOW - timedelta(days=31)).isoformat()), record("new")])
    compact(tmp_path, KEEP_ALL, TODAY)
    assert compact(tmp_path, HistorySettings(retention_days=30), TODAY) == Compacted(0, 0, 0, 1)
    assert ids(tmp_path) == ["idnew"]


@pytest.mark.parametrize("kept", [KEEP_ALL, HistorySettings(retention_days=1)], ids=["for ever", "a day"])
def test_a_foreign_folder_is_left_alone(tmp_path, kept):
    foreign = tmp_path / "history" / "day=foo" / "mine.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("not ours")
    write_segment(tmp_path, "a", [record(1)])
    assert compact(tmp_path, kept, TODAY).records == 1
    assert ids(tmp_path) == ["id1"]
    assert foreign.read_text() == "not ours"


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def overwrite_pages(path):
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 200 + content[204:])


def forget_times(path):
    table = pq.read_table(path, partitioning=None)
    times = pa.array(["noon"] * len(table))
    pq.write_table(table.set_column(table.column_names.index("at"), "at", times), path)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


TORN = [cut, overwrite_pages, forget_times, replace_by_folder, lambda path: path.write_bytes(b"")]


@pytest.mark.parametrize("tear", TORN)
def test_a_torn_day_is_named_and_no_record_is_lost(tmp_path, tear):
    write_segment(tmp_path, "a", [record(1)])
    compact(tmp_path, KEEP_ALL, TODAY)
    path = next((tmp_path / "history").rglob("*.parquet"))
    whole = path.read_bytes()
    tear(path)
    yesterday = record(3, at=(NOW - timedelta(days=1)).isoformat())
    write_segment(tmp_path, "b", [record(2), yesterday])

    for _ in "again":
        with pytest.raises(
            StorageError, match=rf"{path} can't be read as a day of the history \(.*move it away"
        ) as raised:
            compact(tmp_path, KEEP_ALL, TODAY)
        assert str(raised.value).isprintable()

    if path.is_dir():
        path.rmdir()
    path.write_bytes(whole)
    compact(tmp_path, KEEP_ALL, TODAY)
    assert ids(tmp_path) == ["id1", "id2", "id3"]


def test_compaction_continues_once_a_torn_day_is_moved_away(tmp_path):
    write_segment(tmp_path, "a", [record(1)])
    compact(tmp_path, KEEP_ALL, TODAY)
    path = next((tmp_path / "history").rglob("*.parquet"))
    cut(path)
    path.rename(tmp_path / "torn.parquet")
    write_segment(tmp_path, "b", [record(2)])
    compact(tmp_path, KEEP_ALL, TODAY)
    assert ids(tmp_path) == ["id2"]


def compact_and_die_at(data: Path, point: int) -> None:
    """Compact, and kill this very process before its file operation number `point`."""
    seen = 0

    def count(event: str, _arguments: object) -> None:
        nonlocal seen
        if event in ("open", "os.rename", "os.mkdir", "os.remove"):
            seen += 1
            if seen == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    compact(data, KEEP_ALL, TODAY)


def test_a_crash_at_any_file_operation_neither_duplicates_nor_loses_records(tmp_path):
    yesterday = (NOW - timedelta(days=1)).isoformat()
    context = multiprocessing.get_context("forkserver")  # whose processes begin without another test's threads
    context.set_forkserver_preload([__name__])
    point, ended = 0, False
    while not ended:
        point += 1
        data = tmp_path / str(point)
        data.mkdir()
        write_segment(data, "first", [record(0)])
        compact(data, KEEP_ALL, TODAY)
        for name in "ab":
            write_segment(
                data, name, [record(f"{name}{n}", at=at) for n, at in enumerate([yesterday, NOW.isoformat()])]
            )
        expected = ["id0", "ida0", "ida1", "idb0", "idb1"]

        child = context.Process(target=compact_and_die_at, args=(data, point))
        child.start()
        child.join()
        ended = child.exitcode == 0
        assert ended or child.exitcode == -signal.SIGKILL

        seen = ids(data)
        assert len(seen) == len(set(seen)), "a reader sees a record twice after the crash"
        compact(data, KEEP_ALL, TODAY)
        assert ids(data) == expected
        assert not list((data / "history").rglob(".*.tmp"))
    assert point > 8


def test_a_segment_that_was_written_but_not_deleted_is_recognised(tmp_path):
    write_segment(tmp_path, "a", [record(1)])
    compact(tmp_path, KEEP_ALL, TODAY)
    write_segment(tmp_path, "a", [record(1)])  # as if the crash came before the deletion
    assert compact(tmp_path, KEEP_ALL, TODAY).records == 0
    assert ids(tmp_path) == ["id1"]


def test_names_of_old_segments_are_forgotten(tmp_path):
    for n in range(5):
        write_segment(tmp_path, f"s{n}", [record(n)])
        compact(tmp_path, KEEP_ALL, TODAY)
    path = next((tmp_path / "history").rglob("*.parquet"))
    assert json.loads(pq.read_schema(path).metadata[b"beforehand.segments"]) == ["s4.jsonl"]


MASKED = [
    ("Mail me at ada.l+x@mail.example.org, please", "Mail me at [e-mail], please"),
    ("call +49 (0)30 1234567 now", "call [phone] now"),
    ("call 030/123 45 67", "call [phone]"),
    ("(030) 1234567", "[phone]"),
    ("4111 1111 1111 1111 is my card", "[card] is my card"),
    ("order 4111 1111 1111 1112", "order [phone]"),
    ("on 2026-11-24 at 12:30", "on 2026-11-24 at 12:30"),
    ("Python 3.11.7 of 2023", "Python 3.11.7 of 2023"),
    ("What does error 10054 mean?", "What does error 10054 mean?"),
    ("1,000,000 rows in 2.5 s", "1,000,000 rows in 2.5 s"),
    ("f(0, 1) and a[12]", "f(0, 1) and a[12]"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_what_looks_personal_is_masked(text, masked):
    assert redact(text) == masked


@given(st.text())
def test_masking_twice_is_masking_once(text):
    assert redact(redact(text)) == redact(text)


@given(before=st.text(alphabet="abc .,?!\n", max_size=20), after=st.text(alphabet="abc .,?!\n", max_size=20))
def test_an_address_is_masked_anywhere_in_a_text(before, after):
    assert "@" not in redact(f"{before} ada@example.org {after}")


TYPED = {"question": "I am ada@example.org", "comment": "ada@example.org", "prompt": '"ada@example.org"',
         "answer": "Hello ada@example.org"}  # fmt: skip


@pytest.mark.parametrize(("mode", "shown"), [("off", "ada@example.org"), ("redact", "[e-mail]"), ("drop", None)])
def test_the_setting_decides_what_is_kept_of_texts(tmp_path, mode, shown):
    write_segment(tmp_path, "a", [record(1, **TYPED, query_key="k")])
    compact(tmp_path, HistorySettings(redaction=mode), TODAY)
    (row,) = rows(tmp_path)
    for name in TYPED:
        assert (row[name] is None) if shown is None else (shown in row[name])
    assert row["query_key"] == "k"
