"""An incremental build beside a full one: tokens generated and time, with 1 % of the documents changed.

    python bench/incremental.py [--documents 200] [--questions 3] [--share 0.01] [--tokens-per-second 150]

The documents are synthetic, the model is a fake one behind HTTP that takes as long as a real one of the given speed
would (150 tokens a second is what SmolLM2-135M gives on two cores in large batches). Everything else is real: Beam,
embeddings, retrieval, Prefect, DuckDB. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.conftest import PREFECT_ENVIRONMENT  # noqa: E402
from tests.corpus_project import Project, ReadingLlm  # noqa: E402
from tests.fake_llm import served  # noqa: E402

PARTS = ("boiler", "pump", "grinder", "valve", "display", "filter", "hose", "lamp", "wheel", "lid")
FACTS = {
    "weight": "The {name} weighs {n} grams without its packaging.",
    "price": "A new {name} costs {n} euros in the shop, delivery included.",
    "life": "The {name} lasts for {n} hours of work before it has to be replaced.",
}
QUESTIONS = ("How much does the {name} weigh?", "What does a new {name} cost?", "How many hours does the {name} last?")


def write_corpus(project: Project, documents: int, questions: int) -> None:
    folder = project.folder / "documents"
    folder.mkdir(parents=True)
    (project.folder / "prompt.txt").write_text("[user]\n{passages}\n\nQuestion: {question}\n")
    names = [f"{PARTS[number % len(PARTS)]} M{number}" for number in range(documents)]
    for number, name in enumerate(names):
        facts = (fact.format(name=name, n=100 + number) for fact in FACTS.values())
        (folder / f"part-{number}.md").write_text(f"# {name.capitalize()}\n\n" + " ".join(facts) + "\n")
    project.questions = [question.format(name=name) for name in names for question in QUESTIONS[:questions]]
    # the fake model quotes one sentence, so some answers are alike
    project.write_configuration("[audit]\nmost_alike = 1.0\n")


def change(project: Project, documents: int, share: float) -> int:
    """Change a number in so many documents and return how many those are."""
    changed = max(1, round(documents * share))
    for number in range(0, documents, documents // changed):
        path = project.folder / "documents" / f"part-{number}.md"
        path.write_text(path.read_text().replace(" euros", "0 euros"))
    return len(range(0, documents, documents // changed))


def build(project: Project, llm: ReadingLlm, what: str) -> dict[str, Any]:
    llm.requests.clear()
    started = time.monotonic()
    ledger = project.build().ledger
    figures: dict[str, Any] = {
        "build": what,
        "seconds": round(time.monotonic() - started, 1),
        "generate_seconds": round(ledger.seconds["generate"], 1),
        "answers_generated": ledger.figure("generate", "generated"),
        "answers_reused": ledger.figure("generate", "reused"),
        "tokens_generated": ledger.figure("generate", "completion_tokens"),
        "texts_embedded": ledger.figure("index", "embedded") + ledger.figure("retrieve", "embedded"),
        "changes": dict(ledger.figures["changes"]),
    }
    print(json.dumps(figures), flush=True)
    return figures


def affected(project: Project) -> int:
    """Count the answers whose passages are others than in the release before, from the tables of both."""
    return int(project.query("SELECT count(*) FROM changes WHERE reason = 'passages'")[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--questions", type=int, default=3, choices=(1, 2, 3), help="per document")
    parser.add_argument("--share", type=float, default=0.01, help="of the documents that change")
    parser.add_argument("--tokens-per-second", type=float, default=150)
    options = parser.parse_args()
    os.environ.update(PREFECT_ENVIRONMENT)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["PREFECT_HOME"] = f"{temporary}/prefect"
        from flows.prefect_server import prefect_server

        llm = ReadingLlm()
        llm.behaviour.text = " ".join(["word"] * 40)  # counted as the answer's tokens
        llm.behaviour.seconds = 64 * 40 / options.tokens_per_second
        with served(llm.app) as llm.url, prefect_server(Path(os.environ["PREFECT_HOME"])) as server:
            if server is not None:
                server.wait_until_ready()
            measure(Project(Path(temporary) / "project", llm.url), llm, options)


def measure(project: Project, llm: ReadingLlm, options: argparse.Namespace) -> None:
    write_corpus(project, options.documents, options.questions)
    project.sets |= {"batch.batch_size": "64"}
    full = build(project, llm, "full")
    nothing = build(project, llm, "nothing changed")
    changed = change(project, options.documents, options.share)
    incremental = build(project, llm, f"{changed} of {options.documents} documents changed")
    ratios = {
        "tokens_to_full": round(incremental["tokens_generated"] / full["tokens_generated"], 4),
        "seconds_to_full": round(incremental["seconds"] / full["seconds"], 3),
        "seconds_to_full_nothing_changed": round(nothing["seconds"] / full["seconds"], 3),
        "answers_affected": affected(project),
        "answers_generated": incremental["answers_generated"],
    }
    print(json.dumps(ratios), flush=True)


if __name__ == "__main__":
    main()
