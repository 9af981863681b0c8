from __future__ import annotations

import json

from bench.release_scale import measure


def test_every_figure_is_told_as_a_json_line(tmp_path, capsys):
    measure(tmp_path, 100)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = {line["what"] for line in told}
    assert {"load the tables", "size of warehouse.duckdb", "open the serving index", "lookup"} <= names
    assert {"view hit_rate, whole", "view answers_with_citations, first 100 rows"} <= names
    assert all(line["answers"] == 100 for line in told)
    reader = next(line for line in told if line["what"] == "memory of a reader in MB")
    assert reader["found"] == 100
