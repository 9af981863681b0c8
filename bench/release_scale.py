"""How a release grows from 10 thousand to 1 million answers: time to load, size, opening, memory, each view.

    python -m bench.release_scale [--answers 10000 100000 1000000] [--folder DIR]

The text is synthetic: answers of 300 characters, chunks of 700, three citations and ten candidates a question, one
chunk for five questions, and a history with as many requests as answers. Prints one JSON line a measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse import connect
from warehouse.audit.release_audit import audit
from warehouse.releases.build import begin_build, publish, seal
from warehouse.releases.build_folder import Build
from warehouse.releases.load import load_release_database
from warehouse.releases.release import verify
from warehouse.releases.serving_index import ServingIndex, write_serving_index
from warehouse.settings import AuditSettings

_READER = """
import json, sys
from warehouse.releases.serving_index import ServingIndex
import random
def memory():
    fields = dict(line.split(":", 1) for line in open("/proc/self/smaps_rollup").read().splitlines()[1:])
    return {name: int(fields[name].split()[0]) / 1024 for name in ("Rss", "Pss_Anon")}
before = memory()
index = ServingIndex(__import__("pathlib").Path(sys.argv[1]))
opened = memory()
keys = [json.loads(q)["query_key"] for _, q in zip(range(10_000), index.questions())]
random.Random(1).shuffle(keys)
found = sum(index.answer(key) is not None for key in keys)
print(json.dumps({"found": found, "start": before, "opened": opened, "after_10000_lookups": memory()}))
"""


def tell(**measurement: object) -> None:
    print(json.dumps(measurement), flush=True)


def synthetic() -> dict[str, str]:
    """Return the query of each synthetic table."""
    text = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    return dict(re.findall(r"^-- (\w+)\n([^;]+);", text, re.MULTILINE))


@contextmanager
def timed(answers: int, what: str) -> Iterator[None]:
    """Tell the time of a block; on a busy machine the processor's time says more than the clock's."""
    started, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    tell(answers=answers, what=what, seconds=round(seconds, 3), cpu_seconds=round(cpu_seconds, 3))


def write_stages(folder: Path, answers: int) -> dict[str, list[str | Path]]:
    """Write the synthetic tables as the stages would; return the files."""
    folder.mkdir()
    sizes = {"answers": answers, "chunks": max(answers // 5, 10), "documents": max(answers // 50, 10)}
    with duckdb.connect() as connection:
        for table, query in synthetic().items():
            connection.execute(f"COPY ({query.format(**sizes)}) TO '{folder / table}.parquet'")
    return {path.stem: [path] for path in folder.glob("*.parquet") if path.stem != "history"}


def write_history(stages: Path, data: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT *, CAST(\"at\" AS DATE) AS day FROM '{stages / 'history.parquet'}') "
            f"TO '{data / 'history'}' (FORMAT parquet, PARTITION_BY (day))"
        )


def build(data: Path, files: dict[str, list[str | Path]], answers: int) -> Build:
    """Load, audit, index and seal; tells the time of each."""
    release = begin_build(data, "bench")
    with timed(answers, "load the tables"):
        load_release_database(release.database, files)
    with timed(answers, "audit"):
        audit(release, AuditSettings(most_unsupported=1))
    with timed(answers, "write the serving index"):
        write_serving_index(release.database, release.serving_index, release.release_id)
    with timed(answers, "checksum, sync and seal"):
        seal(release, {})
    for path in (release.database, release.serving_index):
        tell(answers=answers, what=f"size of {path.name}", megabytes=round(path.stat().st_size / 1e6, 1))
    return release


def measure_reading(data: Path, answers: int) -> None:
    """Tell how long opening and each view takes, and what a reader of the serving index needs."""
    with timed(answers, "open an analyst's session"):
        session = connect(data)
    views = session.execute("SELECT name FROM contents WHERE kind = 'view' AND name <> 'contents'").fetchall()
    for (view,) in views:
        with timed(answers, f"view {view}, first 100 rows"):
            session.execute(f"SELECT * FROM {view} LIMIT 100").fetchall()
        with timed(answers, f"view {view}, whole"):
            session.execute(f"SELECT count(*), max(hash(v)) FROM {view} v").fetchall()
    key = session.execute("SELECT query_key FROM answers LIMIT 1").fetchall()[0][0]
    with timed(answers, "view answers_with_citations, one question"):
        session.execute("SELECT * FROM answers_with_citations WHERE query_key = ?", [key]).fetchall()
    session.close()
    tell(answers=answers, what="peak memory of the analyst's process and the build", megabytes=peak_megabytes())


def measure_index(path: Path, answers: int) -> None:
    with timed(answers, "open the serving index"):
        index = ServingIndex(path)
    keys = [json.loads(question)["query_key"] for question, _ in zip(index.questions(), range(10_000), strict=False)]
    started = time.perf_counter()
    for key in keys:
        index.answer(key)
    tell(answers=answers, what="lookup", microseconds=round((time.perf_counter() - started) / len(keys) * 1e6, 2))
    index.close()
    reader = subprocess.run(
        [sys.executable, "-c", _READER, str(path)], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    tell(answers=answers, what="memory of a reader in MB", **json.loads(reader.stdout))


def peak_megabytes() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def measure(folder: Path, answers: int) -> None:
    files = write_stages(folder / "stages", answers)
    data = folder / "data"
    data.mkdir()
    release = build(data, files, answers)
    with timed(answers, "publish"):
        published = publish(release)
    with timed(answers, "verify the checksums"):
        verify(published)
    write_history(folder / "stages", data)
    measure_index(published.serving_index, answers)
    measure_reading(data, answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where to work; the default is a temporary folder")
    arguments = parser.parse_args()
    for answers in arguments.answers:
        folder = Path(tempfile.mkdtemp(prefix="release-scale-", dir=arguments.folder))
        try:
            measure(folder, answers)
        finally:
            subprocess.run(["chmod", "-R", "u+w", folder], check=False)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
