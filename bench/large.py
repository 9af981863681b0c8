"""Every stage but generation on a large corpus, beside a bare script that does the least of the same work.

    python -m bench.large FOLDER [--chunks 2000] [--questions 2000] [--encoder models/all-minilm-l6-v2 | words]
        [--memory-gb 0.5]

FOLDER holds real texts (`docs/` and `question_pairs.jsonl.gz`), which are cut up and varied until there are so many
chunks and questions. Two processes, one after the other:

- `bare`: reads the same files, cuts them at their headings, embeds texts and questions with the same encoder (ONNX
  Runtime and `tokenizers`), searches with FAISS, and writes the best 40 of each question and its prompt;
- `pipeline`: the stages with Beam, and from load to publication, with the default settings: words and late
  interaction beside the vectors, citations, tables, indexes, audit. Generations are put into the store beforehand, and
  do not count.

Prints JSON: seconds, processor time and the most memory of each stage and of both ways, and their ratio, and a hash of
the release's rows, which `--memory-gb` (`[batch] memory_gb`) must not change. `--encoder words` uses a made-up encoder
that costs nothing, to see how all else grows. `--way` measures one alone.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.word_encoder import write_encoder

ROOT = Path(__file__).parents[1]
WAYS = ("bare", "pipeline")
_SECTIONS = 10  # of a document, each of which becomes a chunk
_WORDS = (70, 130)  # of a section
_CANDIDATES, _SHOWN = 40, 3
_MADE_UP = "words"  # the name of the made-up encoder, and of its folder
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_SAMPLE = 0.2  # how often the memory is looked at, in seconds

CONFIGURATION = """
[project]
data = "data"
models = {models}
[llm]
model = "none"
[encoder]
model = {encoder}
[collections.default]
documents = ["documents"]
questions = ["questions.txt"]
[batch]
generate_with = "endpoints"
{memory}
[audit]
most_alike = 1.0
canaries = []
"""


def main() -> None:
    """Measure both ways, each in a process of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--chunks", type=int, default=2_000)
    parser.add_argument("--questions", type=int, default=2_000)
    parser.add_argument("--encoder", default=str(ROOT / "models" / "all-minilm-l6-v2"))
    parser.add_argument("--memory-gb", type=float)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.project:
        print(json.dumps(_bare(options.project) if options.way == "bare" else _pipeline(options.project)))
        return
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        write_project(project, options.texts, options.chunks, options.questions, options.encoder, options.memory_gb)
        seconds = {}
        for way in [options.way] if options.way else WAYS:
            figures = _in_a_process(way, options.texts, project)
            seconds[way] = figures["seconds"], figures["cpu_seconds"]
            print(json.dumps({"way": way, "load": os.getloadavg()[0], **figures}), flush=True)
        if len(seconds) == len(WAYS):
            ratios = [
                round(ours / theirs, 3) for ours, theirs in zip(seconds["pipeline"], seconds["bare"], strict=True)
            ]
            print(json.dumps({"seconds_beside_bare": ratios[0], "cpu_beside_bare": ratios[1], "cores": os.cpu_count()}))


def _in_a_process(way: str, texts: Path, project: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.large", str(texts), "--way", way, "--project", str(project)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return figures


def write_project(
    project: Path, texts: Path, chunks: int, questions: int, encoder: str, memory_gb: float | None = None
) -> None:
    """Write documents of so many sections, so many questions and a configuration."""
    chosen = random.Random(1)
    sentences = real_sentences(texts / "docs")
    words = sorted({word for each in sentences for word in each.split() if word.isalpha() and len(word) > 4})
    documents = project / "documents"
    documents.mkdir()
    for start in range(0, chunks, _SECTIONS):
        sections = min(_SECTIONS, chunks - start)
        title = " ".join(chosen.sample(words, 3))
        parts = [
            f"## {' '.join(chosen.sample(words, 2))}\n\n{_varied(sentences, words, chosen)}\n" for _ in range(sections)
        ]
        (documents / f"{start // _SECTIONS:06}.md").write_text(f"# {title}\n\n" + "\n".join(parts), encoding="utf-8")
    asked = _asked(texts / "question_pairs.jsonl.gz", words, chosen)
    (project / "questions.txt").write_text("\n".join(islice(asked, questions)) + "\n", encoding="utf-8")
    named = encoder
    if encoder == _MADE_UP:
        write_encoder(project / _MADE_UP, set(chosen.sample(words, min(4_000, len(words)))))
        (project / _MADE_UP / "modules.json").write_text("[]")
        (project / _MADE_UP / "onnx").mkdir()
        (project / _MADE_UP / "model.onnx").rename(project / _MADE_UP / "onnx" / "model.onnx")
        named = str(ROOT / "models" / "all-minilm-l6-v2")  # of which the stages see nothing
    memory = f"memory_gb = {memory_gb}" if memory_gb else ""
    filled = CONFIGURATION.format(models=json.dumps(str(ROOT / "models")), encoder=json.dumps(named), memory=memory)
    (project / "beforehand.toml").write_text(filled)


def _encoder_of(project: Path) -> Path:
    if (project / _MADE_UP).exists():
        return project / _MADE_UP
    found = re.search(r'\[encoder\]\nmodel = "(.*)"', (project / "beforehand.toml").read_text())
    assert found is not None
    return Path(found[1])


def real_sentences(folder: Path) -> list[str]:
    """Return the sentences of all pages, in order; markup and code are left out."""
    found: list[str] = []
    for path in sorted(each for each in folder.rglob("*") if each.suffix in (".md", ".rst", ".txt", ".mdx")):
        text = " ".join(path.read_text(encoding="utf-8", errors="replace").split())
        found += [
            each for each in _SENTENCE.split(text) if 30 < len(each) < 300 and not re.search(r"[`{}<>|*#=_\[\]]", each)
        ]
    return found


def _varied(sentences: list[str], words: list[str], chosen: random.Random) -> str:
    """Return sentences that stand together, with one in eight words exchanged."""
    length, said = chosen.randint(*_WORDS), list[str]()
    place = chosen.randrange(len(sentences))
    while len(said) < length:
        said += sentences[place % len(sentences)].split()
        place += 1
    return " ".join(chosen.choice(words) if chosen.random() < 1 / 8 else each for each in said)


def real_questions(pairs: Path) -> list[str]:
    """Return the questions of labelled pairs, each once."""
    with gzip.open(pairs, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    known = dict.fromkeys(" ".join(row[side].split()) for row in rows for side in ("a", "b"))
    return [each for each in known if 10 < len(each) < 200 and not each.startswith("#")]


def _asked(pairs: Path, words: list[str], chosen: random.Random) -> Iterator[str]:
    """Yield questions that differ: first as people wrote them, then with two words more."""
    real = real_questions(pairs)
    yield from real
    while True:
        about = f"{chosen.choice(words)} and {chosen.choice(words)} {chosen.randrange(10**6)}"
        yield f"{chosen.choice(real).rstrip('?')} with {about}?"


class Clock:
    """The seconds, processor seconds and the most memory of each part of the work, in MB."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure what is done in the block."""
        cpu, clock = time.process_time(), time.monotonic()
        with _most_memory() as most:
            yield
        self.parts[name] = {
            "seconds": round(time.monotonic() - clock, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "most_mb": round(max(most)),
        }

    def figures(self) -> dict[str, Any]:
        """Return the parts and their sums."""
        sums = {name: round(sum(each[name] for each in self.parts.values()), 2) for name in ("seconds", "cpu_seconds")}
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {**sums, "most_mb": round(most), "parts": self.parts}


@contextmanager
def _most_memory() -> Iterator[list[float]]:
    """Look at the memory that is this process's own, in MB, during the block; mapped files don't count."""
    seen, done = [_anonymous_mb()], threading.Event()

    def look() -> None:
        while not done.wait(_SAMPLE):
            seen.append(_anonymous_mb())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
        seen.append(_anonymous_mb())


def _anonymous_mb() -> float:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _bare(project: Path) -> dict[str, Any]:
    """Embed, search and write prompts, with nothing of ours but the loading of the encoder."""
    import faiss

    from rag.retrieval.embedding import OnnxEncoder

    clock = Clock()
    with clock.part("read"):
        encoder = OnnxEncoder.load(_encoder_of(project))
        texts = [
            f"{page.splitlines()[0]}\n{section}"
            for path in sorted((project / "documents").glob("*.md"))
            for page in [path.read_text(encoding="utf-8")]
            for section in page.split("\n## ")[1:]
        ]
        questions = (project / "questions.txt").read_text(encoding="utf-8").splitlines()
    with clock.part("embed texts"):
        vectors = np.concatenate([encoder.embed_passages(texts[at : at + 512]) for at in range(0, len(texts), 512)])
    with clock.part("embed questions"):
        asked = np.concatenate([encoder.embed(questions[at : at + 512]) for at in range(0, len(questions), 512)])
    with clock.part("search"):
        index: Any = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        near = np.concatenate([index.search(asked[at : at + 512], _CANDIDATES)[1] for at in range(0, len(asked), 512)])
    with clock.part("write"), (project / "bare.jsonl").open("w", encoding="utf-8") as out:
        for question, rows in zip(questions, near, strict=True):
            passages = "\n\n".join(texts[row] for row in rows[:_SHOWN])
            row = {"question": question, "found": rows.tolist(), "prompt": f"{passages}\n\nQuestion: {question}"}
            out.write(json.dumps(row) + "\n")
    return {"texts": len(texts), "questions": len(questions), **clock.figures()}


def _pipeline(project: Path) -> dict[str, Any]:
    """Run the stages, then load, audit and publish."""
    from beforehand.configuration import prepare_environment, read_settings

    settings = read_settings((project / "beforehand.toml", ()))
    prepare_environment(settings)
    from batch.stores.embedding_store import encoder_id
    from beforehand.run_plan import compose_plan
    from flows.build_release import STAGES
    from flows.ledger import Ledger
    from flows.publish_release import Publication, audit_release, load_release, publish_release
    from rag.retrieval.embedding import read_spec
    from warehouse.releases.build import begin_build
    from warehouse.releases.changes import note_changes

    plan, encoder = compose_plan(settings, "bench"), _encoder_of(project)
    spec = read_spec(encoder)
    plan = replace(plan, encoder=str(encoder), encoder_spec=spec, encoder_id=encoder_id(encoder, spec))
    build = begin_build(Path(plan.data), plan.run_id)
    ledger, clock = Ledger(), Clock()
    publication = Publication(settings.audit, settings.history, keep=1)
    checks: list[Any] = []
    for stage in STAGES:
        if not stage.wanted(plan):
            continue
        if stage.name == "generate":
            _write_generations(plan)
            continue
        with clock.part(stage.name):
            ledger.figures[stage.name] = stage.body(plan)
        ledger.started[stage.name] = datetime.now(UTC)
        ledger.seconds[stage.name] = clock.parts[stage.name]["seconds"]
    steps: Mapping[str, Callable[[], object]] = {
        "load": lambda: load_release(plan, build, ledger),
        "changes": lambda: note_changes(build),
        "audit": lambda: checks.extend(audit_release(plan, build, publication)),
        "publish": lambda: publish_release(plan, build, [replace(each, passed=True) for each in checks], 1, {}),
    }
    for name, step in steps.items():
        with clock.part(name):
            step()
    failed = [each.name for each in checks if not each.passed]
    counts = {name: ledger.figures[stage][name] for stage, name in (("prepare", "chunks"), ("anticipate", "questions"))}
    return {**counts, "failed_checks": failed, "rows": rows_hash(Path(plan.data)), **clock.figures()}


def rows_hash(data: Path) -> str:
    """Return a hash of what the current release holds, similarities rounded."""
    import duckdb

    from bench.desk_project import CONTENT
    from warehouse.releases.release import current

    digest = hashlib.sha256()
    with duckdb.connect(str(current(data).database), read_only=True) as connection:
        for name, sql in CONTENT.items():
            digest.update(repr((name, sorted(connection.execute(sql).fetchall(), key=str))).encode())
    return digest.hexdigest()[:16]


def _write_generations(plan: Any) -> None:
    """Put an answer to each prompt into the store, as if it had been generated: the first passage's sentence."""
    from batch.rows import PromptRow
    from batch.stores.generation_store import write_generations
    from batch.stores.parquet import list_files, read_file_rows
    from bench.fake_llm import quoted

    now = datetime.now(UTC)
    for path in list_files(f"{plan.folder('retrieve')}/prompts/*.parquet"):
        write_generations(
            plan.answer_store,
            [
                {
                    "fingerprint": row["fingerprint"],
                    "text": quoted(json.loads(row["messages"])[-1]["content"]),
                    "finish_reason": "stop",
                    "prompt_tokens": 500,
                    "completion_tokens": 20,
                    "cached_tokens": 0,
                    "run_id": plan.run_id,
                    "generated_at": now,
                    "seconds": 1.0,
                }
                for row in read_file_rows(path, PromptRow)
            ],
        )


if __name__ == "__main__":
    main()
