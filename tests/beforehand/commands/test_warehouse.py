"""`beforehand sql` and `beforehand report` as a user types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from beforehand import cli as front_door
from tests.warehouse.conftest import NOW, key, request, write_history
from warehouse.analysis.query_output import FORMATS

CONFIGURATION = """
[project]
data = "data"
[collections.main]
documents = ["docs/"]
questions = ["questions.txt"]
"""
pytestmark = pytest.mark.usefixtures("data")


@pytest.fixture
def data(tmp_path, publish_rows, rows, monkeypatch):
    """The data folder of a project with a release; the commands are run in the project's folder."""
    publish_rows(rows)
    (tmp_path / "beforehand.toml").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the settings of one test are not the next one's
    return tmp_path / "data"


@pytest.fixture
def folder(data):
    return data.parent


def run(*arguments, code=0):
    result = CliRunner().invoke(front_door.cli, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_listing_explains_everything_and_cuts_nothing():
    listed = run("sql").stdout
    comment = "Model time and cost that each day's hits saved, at the speed of the batch runs (a lower bound)."
    assert comment in listed
    assert "…" not in listed
    assert [
        line
        for line in listed.splitlines()[2:-1]
        if not re.match(r"\w+(\([\w, ]+\))? +(table|view|macro) +[A-Z]", line)
    ] == []


def test_long_cells_are_cut_in_the_table_of_a_query():
    assert "…" in run("sql", "SELECT repeat('long ', 50) AS text").stdout


READ_BACK = [
    ("out.csv", lambda path: path.read_bytes() == b'\xef\xbb\xbf"n"\n7\n'),
    ("out.json", lambda path: json.loads(path.read_text()) == [{"n": 7}]),
    ("out.jsonl", lambda path: json.loads(path.read_text()) == {"n": 7}),
    ("OUT.PARQUET", lambda path: pq.read_table(path).to_pylist() == [{"n": 7}]),
    ("out.txt", lambda path: path.read_text() == "n\n-\n7\n(1 row)\n"),
]


@pytest.mark.parametrize(("name", "is_right"), READ_BACK)
def test_the_ending_of_the_file_decides_the_format(folder, name, is_right):
    assert run("sql", "SELECT 7 AS n", "--output", name).stderr == f"1 rows written to {name}\n"
    assert is_right(folder / name)


def test_the_option_decides_against_the_ending(folder):
    run("sql", "SELECT 7 AS n", "--output", "out.dat", "--format", "jsonl")
    assert json.loads((folder / "out.dat").read_text()) == {"n": 7}


@pytest.mark.parametrize("name", ["out.xlsx", "out"])
def test_an_ending_that_no_format_has_is_refused(folder, name):
    said = run("sql", "SELECT 7 AS n", "--output", name, code=2).stderr
    assert said == (
        f"beforehand: {name}: no format has this ending; "
        "use one of .csv, .json, .jsonl, .parquet, .txt, or name the format.\n"
    )
    assert not (folder / name).exists()


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_can_be_chosen(form):
    assert run("sql", "SELECT 7 AS n", "--format", form).stdout_bytes


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_can_write_typical_queries(form):
    for query in (
        "FROM answers a JOIN citations c USING (query_key)",
        "SELECT max(generated_at) - min(generated_at) FROM answers",
    ):
        assert run("sql", query, "--format", form).stdout_bytes


FAILING = "SELECT CASE WHEN i > 25000 THEN 'x'::INTEGER END AS n FROM range(30000) t(i)"


@pytest.mark.parametrize("query", ["SELEC 1", FAILING])
@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet", ".txt"])
def test_a_query_that_fails_leaves_an_old_file_as_it_was(folder, query, ending):
    (folder / f"out{ending}").write_text("the result of yesterday")
    before = sorted(folder.iterdir())
    run("sql", query, "--output", f"out{ending}", code=2)
    assert (folder / f"out{ending}").read_text() == "the result of yesterday"
    assert sorted(folder.iterdir()) == before


def test_a_link_is_kept_and_its_target_written(folder):
    (folder / "elsewhere").mkdir()
    (folder / "out.csv").symlink_to(folder / "elsewhere" / "real.csv")
    run("sql", "SELECT 7 AS n", "--output", "out.csv")
    assert (folder / "elsewhere" / "real.csv").read_text(encoding="utf-8-sig") == '"n"\n7\n'


def test_a_pipe_is_written_and_stays_a_pipe(folder):
    os.mkfifo(folder / "pipe")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)  # so that the writer need not wait for it
    try:
        run("sql", "SELECT 7 AS n", "--output", "pipe", "--format", "jsonl")
        assert os.read(reader, 100) == b'{"n": 7}\n'
    finally:
        os.close(reader)
    assert (folder / "pipe").is_fifo()


def test_standard_output_can_be_named_even_when_redirected(folder):
    command = [sys.executable, "-m", "beforehand", "sql", "SELECT 7 AS n", "--format", "jsonl", "--output"]
    with (folder / "out").open("ab") as redirected:
        subprocess.run([*command, "/dev/stdout"], stdout=redirected, stderr=subprocess.PIPE, check=True)
        redirected.write(b"what the script writes next\n")
    assert (folder / "out").read_text() == '{"n": 7}\nwhat the script writes next\n'


@pytest.mark.parametrize("place", ["gone", "/gone"])
def test_a_missing_folder_is_named(place):
    said = run("sql", "SELECT 1", "--output", f"{place}/out.csv", code=2).stderr
    assert said.startswith(f"beforehand: Can't write out.csv in {place}: ")
    assert said.count("\n") == 1


def journal(data):
    (data / "journal").mkdir()
    line = json.dumps({**request("just asked", "live"), "at": NOW.isoformat()})
    (data / "journal" / "a.jsonl").write_text(f"{line}\n")


def test_the_newest_requests_are_included(data):
    journal(data)
    found = run("sql", "SELECT question, recorded_at FROM requests", "--format", "jsonl")
    assert json.loads(found.stdout) == {"question": "just asked", "recorded_at": NOW.isoformat()}
    assert found.stderr == ""


def test_without_write_access_reading_continues_with_a_warning(data, folder):
    journal(data)
    (data / "history").write_text("in the way, as a full or read-only disk would be")
    for command in (("sql", "SELECT count(*) AS n FROM answers"), ("report",)):
        said = run(*command)
        assert said.stderr.startswith("beforehand: the newest requests may be missing: Can't write the history")
        assert said.stderr.count("\n") == 1
    assert "prepared answers" in (folder / "report.html").read_text()


@pytest.fixture
def torn(data):
    write_history(data, [request("x", "live")])
    path = data / "history" / f"day={NOW.date()}" / "history.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    return path


@pytest.mark.parametrize("command", [("sql", "FROM hit_rate"), ("sql", "FROM history", "--format", "csv"), ("report",)])
def test_a_torn_file_of_the_history_is_named(torn, command):
    said = run(*command, code=2).stderr
    assert said.startswith(f"beforehand: {torn} can't be read as a day of the history (")
    assert said.count("\n") == 1


def test_queries_that_do_not_need_the_torn_file_continue_with_a_warning(data, torn):
    journal(data)
    said = run("sql", "SELECT count(*) AS n FROM answers", "--format", "jsonl")
    assert said.stdout == '{"n": 3}\n'
    assert said.stderr.startswith(f"beforehand: the newest requests may be missing: {torn} can't be read")
    assert (data / "journal" / "a.jsonl").exists()


@pytest.mark.usefixtures("torn")
def test_a_mistake_in_a_query_is_not_blamed_on_the_torn_file():
    assert "missing_column" in run("sql", "SELECT missing_column FROM history", code=2).stderr


@pytest.mark.parametrize("command", [("sql", "FROM answers"), ("report",)])
def test_a_file_outside_the_folders_of_days_is_named(data, command):
    write_history(data, [request("x", "live")])
    (data / "history" / f"day={NOW.date()}").rename(data / "history" / "day=foo")
    said = run(*command, code=2).stderr
    assert said.startswith(f"beforehand: {data}/history/day=foo/history.parquet is no file of a day")
    assert said.count("\n") == 1


def test_reading_commands_write_nothing_into_the_data_folder(data):
    before = sorted(data.rglob("*"))
    run("sql", "FROM answers")
    run("report")
    assert sorted(data.rglob("*")) == before


def test_a_review_in_a_file_names_what_did_not_hold(folder):
    row = {"collection": "main", "query_key": key("q1"), "fingerprint": key("f-q1"), "question": "What is q1?",
           "decision": "reject"}  # fmt: skip
    rows = [
        row | {"decision": "reject"},
        row | {"query_key": key("q2"), "fingerprint": "7.95E+31", "decision": "reject"},
    ]
    (folder / "r.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))

    said = run("review", "import", "r.jsonl", "--reviewer", "Ada", code=2)

    assert said.stdout == "held: 1 reject, 0 pairs; not held: 1; undecided: 0\n"
    assert said.stderr.startswith("row 2 (What is q1?): does not hold: '7.95E+31' is no fingerprint: a spreadsheet ")


def test_one_answer_is_not_called_answers(monkeypatch):
    monkeypatch.setattr("warehouse.editorial.review.export_reviews", lambda *_: 1)
    assert run("review", "export", "r.csv").stdout == "1 answer written to r.csv\n"


def test_a_workbook_is_exported_and_imported():
    assert run("review", "export", "r.xlsx").stdout == "0 answers written to r.xlsx\n"
    assert run("review", "import", "r.xlsx", "--reviewer", "Ada").stdout.startswith("held: no decisions, 0 pairs;")


def test_an_undo_of_what_was_never_withdrawn_says_so(data):
    said = run("withdraw", "d1", "--undo", code=2).stderr
    assert said == "beforehand: d1: not withdrawn in main, so there is nothing to undo; nothing is withdrawn there\n"

    run("withdraw", "d1")
    assert run("withdraw", "d1", "--undo").stdout == "d1 of main is back\n"

    reasons = [json.loads(line)["reason"] for line in (data / "withdrawals.jsonl").read_text().splitlines()]
    assert reasons == ["withdrawn by hand", "reinstated by hand"]


def test_verify_tells_which_table_was_changed(data):
    assert "all files and tables are as they were sealed" in run("releases", "verify").stdout
    database = next((data / "releases").glob("2*/warehouse.duckdb"))
    for path in (database.parent, database):
        path.chmod(0o755)
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE answers SET answer = 'Ours.'")

    said = run("releases", "verify", code=2).stderr

    assert "warehouse.duckdb: answers was changed." in said
    assert "Who changed it is not recorded." in said
