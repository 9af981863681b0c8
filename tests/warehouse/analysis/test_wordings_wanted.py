"""Which answers want further wordings, by what visitors asked in vain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.warehouse.conftest import Publish, Rows, key, request, write_history
from warehouse.analysis.connection import connect


def missed(text: str, of: str, similarity: float = 0.8) -> dict[str, Any]:
    return request(text, "refused", refusal="below_threshold", matched_key=key(of), similarity=similarity)


def test_answers_that_visitors_nearly_got_come_with_what_was_asked(
    tmp_path: Path, publish_rows: Publish, rows: Rows
) -> None:
    row = {"collection": "main", "query_key": key("q1"), "origin": "curated"}
    since = {"approved_by": "ann", "since": rows["answers"][0]["generated_at"]}
    rows["wordings"] = [row | since | {"wording_key": key("known"), "wording": "known"}]
    rows["fences"] = [row | {"text_key": key("fenced"), "text": "fenced", "since": since["since"]}]
    publish_rows(rows)
    write_history(
        tmp_path / "data",
        [
            *[missed("often", "q1")] * 3,
            missed("once", "q1"),
            missed("other", "q2"),
            missed("far", "q2", similarity=0.3),
            missed("known", "q1"),
            missed("fenced", "q1"),
            request("q1", "exact", matched_key=key("q1")),
        ],
    )

    with connect(tmp_path / "data") as session:
        found = session.execute(
            "SELECT question, missed, phrasings, asked_as, wordings, hits FROM wordings_wanted"
        ).fetchall()

    assert found == [("What is q1?", 4, 2, ["often", "once"], 2, 1), ("What is q2?", 1, 1, ["other"], 1, 0)]
