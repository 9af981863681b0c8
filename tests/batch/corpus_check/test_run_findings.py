"""What a run finds worth a look in its own tables, for the report."""

from __future__ import annotations

from batch.corpus_check.run_findings import Prepared, Reader, run_findings
from batch.formats.outline import Hidden
from warehouse.tables import ChunkRow, DocumentRow, RejectRow

READER = Reader("all-minilm-l6-v2", frozenset({"Latin"}), "english")


def document(name: str, title: str, *, titled_by_name: bool = False) -> DocumentRow:
    row = dict.fromkeys(DocumentRow.__annotations__, "")
    return {**row, "document_id": name, "title": title, "titled_by_name": titled_by_name}  # type: ignore[typeddict-item]


def chunk(number: int, text: str, heading: str = "A heading") -> ChunkRow:
    row = dict.fromkeys(ChunkRow.__annotations__, "")
    return {**row, "chunk_id": f"c{number}", "document_id": "a.md", "heading": heading, "text": text}  # type: ignore[typeddict-item]


def reject(item: str, reason: str) -> RejectRow:
    return {"run_id": "r", "stage": "prepare", "collection": "main", "item": item, "reason": reason}


def test_each_finding_is_counted_with_examples() -> None:
    said = "The library opens at nine in the morning and closes at five in the afternoon."
    prepared = Prepared(
        "main",
        [document("getting-started.md", "getting started", titled_by_name=True), document("b.md", "Something else")],
        [chunk(1, said), chunk(2, f"{said}!"), chunk(3, "An introduction.", heading=""), chunk(4, "Привет " * 50)],
        [reject("b.md", Hidden(9, 0, "never paid").describe()), reject("c.csv, line 4", "not closed")],
        {".png": 3, ".zip": 1},
    )

    found = {row["finding"]: row for row in run_findings(prepared, READER)}

    counts = {name: (row["count"], row["whole"]) for name, row in found.items()}
    assert counts == {
        "documents titled by their file names": (1, 2),
        "chunks under no heading but the title": (1, 4),
        "documents with hidden text": (1, 2),
        "rows and files lost": (1, None),
        "scripts that don't fit": (2, None),
        "files skipped": (4, None),
        "near-duplicate chunks": (1, 4),
    }
    assert found["rows and files lost"]["examples"] == ["c.csv, line 4: not closed"]
    assert found["files skipped"]["examples"] == [".png: 3", ".zip: 1"]


def test_what_is_in_order_is_not_mentioned() -> None:
    assert run_findings(Prepared("main", [document("a.md", "Title")], [chunk(1, "It opens.")], [], {}), READER) == []
