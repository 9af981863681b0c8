"""The dbt project of examples/dbt, on a release and a history: with dbt where it is installed, else its SQL alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
import jinja2
import pytest
import yaml

from tests.warehouse.conftest import Rows, key, request, write_history
from tests.warehouse.conftest import publish_rows as publish_rows  # noqa: PLC0414 - a fixture
from tests.warehouse.conftest import rows as rows  # noqa: PLC0414 - a fixture
from warehouse.releases.release import Release, current

PROJECT = Path(__file__).parents[1] / "examples" / "dbt"
ASKED = [
    request("q1", "exact", matched_key=key("q1"), total_seconds=0.001),
    request("q1 again", "semantic", matched_key=key("q1"), total_seconds=0.01),
    request("miss", "live", total_seconds=2.0),
    {"kind": "feedback", "request_id": "id-q1-exact", "at": request("q1", "exact")["at"], "helpful": False},
]


@pytest.fixture
def data(tmp_path: Path, publish_rows: object, rows: Rows) -> Path:
    publish_rows(rows)  # type: ignore[operator]
    write_history(tmp_path / "data", ASKED)
    return tmp_path / "data"


def environment(data: Path, release: Release) -> Mapping[str, str]:
    marts = data.parent / "marts.duckdb"
    return {"BEFOREHAND_DATA": f"{data}", "BEFOREHAND_RELEASE": f"{release.path}", "BEFOREHAND_MARTS": f"{marts}"}


def run_models(told: Mapping[str, str]) -> None:
    """Run the models in the order of their references, rendered as dbt does it."""
    variables = jinja2.Environment(autoescape=False)
    sources = yaml.safe_load((PROJECT / "models" / "sources.yml").read_text())["sources"]
    places = {}
    for source in sources:
        for table in source["tables"]:
            place = table.get("meta", {}).get("external_location")
            place = place or f"{source.get('database')}.{source.get('schema')}.{table['name']}"
            places[source["name"], table["name"]] = variables.from_string(place).render(env_var=told.__getitem__)
    models = {path.stem: path.read_text() for path in (PROJECT / "models").glob("*.sql")}
    with duckdb.connect(told["BEFOREHAND_MARTS"]) as marts:
        marts.execute(
            f"SET TimeZone = 'UTC'; ATTACH '{told['BEFOREHAND_RELEASE']}/warehouse.duckdb' AS release (READ_ONLY)"
        )
        made: set[str] = set()
        while len(made) < len(models):
            for name, text in models.items():
                if name not in made and set(re.findall(r"ref\('(\w+)'\)", text)) <= made:
                    sql = variables.from_string(text).render(source=lambda *named: places[named], ref=str)
                    marts.execute(f"CREATE TABLE {name} AS {sql}")
                    made.add(name)


def run_dbt(told: Mapping[str, str], folder: Path) -> None:
    shutil.copytree(PROJECT, folder)
    command = ["dbt", "build", "--project-dir", f"{folder}", "--profiles-dir", f"{folder}"]
    done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_models_say_what_to_work_on(data: Path, tmp_path: Path) -> None:
    told = environment(data, current(data))
    if shutil.which("dbt"):
        run_dbt(told, tmp_path / "dbt")
    else:
        run_models(told)
    with duckdb.connect(told["BEFOREHAND_MARTS"], read_only=True) as marts:
        hits = marts.execute("SELECT week, asked, hits FROM weekly_hits").fetchall()
        misses = marts.execute("SELECT question, asked FROM weekly_misses").fetchall()
        documents = marts.execute("SELECT document_id, answers, asked FROM cited_documents").fetchall()
    assert hits == [(date(2026, 11, 16), 3, 2)]
    assert misses == [("miss", 1)]
    assert documents == [("d1", 3, 2)]
