"""A review through the files of people's spreadsheets: every decision holds, or is listed with its reason."""

from __future__ import annotations

import csv
import io

import openpyxl
import pytest

from tests.warehouse.conftest import key, sample_rows
from warehouse.editorial.queue import queue
from warehouse.editorial.review import export_reviews
from warehouse.editorial.review_desk import history
from warehouse.editorial.review_files import write_rows
from warehouse.editorial.review_import import import_reviews
from warehouse.errors import ReviewError


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def exported(data, tmp_path, publish_rows):
    """The rows of an export: three answers that the audit withheld."""
    publish_rows(withheld())
    export_reviews(data, tmp_path / "export.csv")
    with (tmp_path / "export.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def withheld():
    rows = sample_rows()
    for answer in rows["answers"]:
        answer |= {"status": "withheld", "withheld_reason": "refusal"}
    return rows


def as_csv(rows, delimiter=",", first=""):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(
        [name.replace("_", " ").title() if name == "new_answer" else f" {name.upper()} " for name in rows[0]]
    )
    writer.writerows([list(row.values()) for row in rows])
    return first + text.getvalue()


def workbook(rows):
    book = openpyxl.Workbook()
    for row in ([*rows[0]], *(list(each.values()) for each in rows)):
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


SAVED = {
    "utf-8 with a mark.csv": lambda rows: as_csv(rows).encode("utf-8-sig"),
    "utf-8 without a mark.csv": lambda rows: as_csv(rows).encode(),
    "excel in Germany.csv": lambda rows: as_csv(rows, ";").encode("cp1252"),
    "unicode text.txt": lambda rows: as_csv(rows, "\t").encode("utf-16"),
    "with sep.csv": lambda rows: as_csv(rows, "|", "sep=|\r\n").encode("cp1252"),
    "tabs.tsv": lambda rows: as_csv(rows, "\t").encode(),
    "workbook.xlsx": workbook,
    "a workbook named csv.csv": workbook,
}


@pytest.mark.parametrize("name", SAVED)
def test_every_decision_holds_whatever_spreadsheet_saved_it(data, tmp_path, exported, name):
    exported[0] |= {"decision": "Approve", "note": "Größe geprüft"}
    exported[1] |= {"decision": "edit", "new_answer": "Öffnet um zehn;\nsonntags „nie“… €5 [1].", "reviewer": "Zoë"}
    exported[2] |= {"decision": " REJECT "}
    (tmp_path / name).write_bytes(SAVED[name](exported))

    imported = import_reviews(data, tmp_path / name, "Ada")

    assert (imported.decisions, imported.undecided) == ({"approve": 1, "edit": 1, "reject": 1}, 0)
    assert imported.refused == []
    assert history(data, key("q1"))[0].note == "Größe geprüft"
    edit = history(data, key("q2"))[0]
    assert (edit.answer, edit.reviewer) == ("Öffnet um zehn;\nsonntags „nie“… €5 [1].", "Zoë")
    assert queue(data) == []


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        (
            "r.csv",
            "question,decision\nzażółć,reject\n".encode("cp1250"),
            "neither UTF-8 nor a Western European encoding",
        ),
        ("r.csv", "question,decision\nжизнь,reject\n".encode("cp1251"), "neither UTF-8 nor a Western"),
        ("r.csv", "question,decision\nMüller,reject\n".encode("mac_roman"), "neither UTF-8 nor a Western"),
        ("r.csv", "question,decision\n".encode("utf-16-le"), "looks like UTF-16LE without a byte order mark"),
        ("r.xls", b"\xd0\xcf\x11\xe0 old", 'save it as .xlsx, or as "CSV UTF-8"'),
        ("r.xlsx", b"question,decision\n", "not a workbook, in spite of its ending"),
        ("r.xlsx", b"PK\x03\x04 torn", "not a workbook that can be read"),
        ("r.csv", b'sep=;\n"question;decision\n', "check its quotation marks"),
    ],
)
def test_a_file_that_cant_be_read_says_what_to_do(data, tmp_path, name, content, advice):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ReviewError) as caught:
        import_reviews(data, tmp_path / name, "Ada")

    assert advice in str(caught.value)


def test_without_openpyxl_a_workbook_names_the_extra(data, tmp_path, exported, monkeypatch):
    (tmp_path / "r.xlsx").write_bytes(workbook(exported))
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)

    with pytest.raises(ReviewError, match=r"needs openpyxl: pip install 'beforehand\[xlsx\]'"):
        import_reviews(data, tmp_path / "r.xlsx", "Ada")
    with pytest.raises(ReviewError, match=r"needs openpyxl: pip install 'beforehand\[xlsx\]'"):
        export_reviews(data, tmp_path / "new.xlsx")


def test_an_exported_workbook_comes_back(data, tmp_path, exported):
    export_reviews(data, tmp_path / "r.xlsx")
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    sheet = book.worksheets[0]
    columns = {cell.value: cell.column for cell in sheet[1]}
    sheet.cell(2, columns["decision"]).value = "reject"
    sheet.cell(3, columns["decision"]).value = "edit"
    sheet.cell(3, columns["new_answer"]).value = "Ten [1]."
    book.save(tmp_path / "r.xlsx")

    imported = import_reviews(data, tmp_path / "r.xlsx", "Ada")

    assert (imported.decisions, imported.undecided) == ({"approve": 0, "edit": 1, "reject": 1}, 1)
    assert len(exported) == 3


def test_what_a_spreadsheet_mangled_and_what_contradicts_is_told_by_row(data, tmp_path, exported):
    exported[0] |= {"decision": "reject", "fingerprint": 7.95e31}
    exported[1] |= {"decision": "approve"}
    exported[2] |= {"decision": "edit", "new_answer": "See [7]."}
    other = exported[1] | {"decision": "reject", "reviewer": "Grace"}
    (tmp_path / "r.xlsx").write_bytes(workbook([*exported, other]))

    imported = import_reviews(data, tmp_path / "r.xlsx", "Ada")

    assert [each.row for each in imported.refused] == [1, 2, 3, 4]
    messages = [each.message for each in imported.refused]
    assert messages[0].startswith("'7.95e+31' is no fingerprint: a spreadsheet has turned it into a number")
    assert messages[1].startswith("another row decides otherwise about the same question (reject by Grace)")
    assert messages[2] == "[7] leads to no passage of the answer; its passages are [1]."
    assert imported.refused[2].question == "What is q3?"
    assert [len(history(data, key(name))) for name in ("q1", "q2", "q3")] == [0, 0, 0]


def test_an_old_file_over_a_newer_decision_is_told(data, tmp_path, exported):
    for who, decision in (("Grace", "reject"), ("Ada", "approve")):
        exported[0] |= {"decision": decision, "reviewer": who}
        write_rows(tmp_path / f"{who}.csv", list(exported[0]), exported)
    assert import_reviews(data, tmp_path / "Grace.csv", "Grace").refused == []

    (refused,) = import_reviews(data, tmp_path / "Ada.csv", "Ada").refused

    assert refused.message.startswith("it was rejected by Grace on ")
    assert [each.reviewer for each in history(data, key("q1"))] == ["Grace"]


def test_a_decision_is_confirmed_in_a_file_after_its_document_changed(data, tmp_path, exported, publish_rows):
    exported[0] |= {"decision": "reject"}
    write_rows(tmp_path / "r.csv", list(exported[0]), exported[:1])
    import_reviews(data, tmp_path / "r.csv", "Ada")
    rows = withheld()
    rows["answers"][0] |= {"fingerprint": key("f2-q1")}
    publish_rows(rows)
    export_reviews(data, tmp_path / "later.csv")
    with (tmp_path / "later.csv").open(encoding="utf-8-sig", newline="") as file:
        listed = {row["question"]: row for row in csv.DictReader(file)}
    assert listed["What is q1?"]["waiting"] == "rejected before"
    assert listed["What is q1?"]["decided_before"].startswith("rejected by Ada on ")

    listed["What is q1?"] |= {"decision": "confirm"}
    write_rows(tmp_path / "later.csv", list(exported[0]), [listed["What is q1?"]])
    imported = import_reviews(data, tmp_path / "later.csv", "Grace")

    assert imported.decisions["reject"] == 1
    assert "What is q1?" not in {item.question for item in queue(data)}


def test_a_spreadsheet_that_drops_empty_cells_at_the_end_of_a_row_drops_none(data, tmp_path, exported):
    """Excel does so from the seventeenth row on, and a passage of several lines would then end its row too early."""
    exported[0] |= {"decision": "reject", "evidence": "[1] Two:\nlines"}
    rows = [[*exported[0]], *([*row.values()] for row in exported)]
    text = io.StringIO()
    for row in rows:
        while not row[-1]:
            row.pop()
        csv.writer(text).writerow(row)
    (tmp_path / "r.csv").write_text(text.getvalue(), newline="")

    imported = import_reviews(data, tmp_path / "r.csv", "Ada")

    assert (imported.decisions["reject"], imported.refused, imported.undecided) == (1, [], 2)


@pytest.mark.parametrize(
    ("audited", "typed", "status"),
    [
        ({"status": "served"}, {"decision": "reject"}, "withheld"),
        ({"status": "withheld"}, {"decision": "edit", "new_answer": "At ten [1]."}, "served"),
    ],
)
def test_an_export_says_whether_visitors_get_the_answer_now(
    data, tmp_path, exported, publish_rows, audited, typed, status
):
    write_rows(tmp_path / "r.csv", list(exported[0]), [exported[0] | typed])
    import_reviews(data, tmp_path / "r.csv", "Ada")
    rows = withheld()
    rows["answers"][0] |= {"fingerprint": key("f2-q1"), **audited}
    publish_rows(rows)

    export_reviews(data, tmp_path / "later.csv")

    with (tmp_path / "later.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["question"]: row["status"] for row in csv.DictReader(file)}["What is q1?"] == status


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".jsonl", ".parquet"])
def test_an_export_never_overwrites_open_work(data, tmp_path, exported, ending):
    target = tmp_path / f"r{ending}"
    exported[0] |= {"decision": "edit", "new_answer": "Half"}
    write_rows(target, list(exported[0]), exported)
    before = target.read_bytes()
    with pytest.raises(ReviewError, match="holds rows that are not decided and imported yet; name another file"):
        export_reviews(data, target)
    assert target.read_bytes() == before

    write_rows(target, list(exported[0]), exported[:1])
    with pytest.raises(ReviewError, match="name another file"):
        export_reviews(data, target)
    import_reviews(data, target, "Ada")
    assert export_reviews(data, target) == 2, "all that it held is recorded, and is listed no more"


def test_an_export_does_not_overwrite_a_file_of_another_kind(data, tmp_path, exported):
    (tmp_path / "r.jsonl").write_text("{}")
    (tmp_path / "r.xlsx").write_bytes(b"a letter")

    for name in ("r.jsonl", "r.xlsx"):
        with pytest.raises(ReviewError, match="name another file"):
            export_reviews(data, tmp_path / name)
    assert exported
