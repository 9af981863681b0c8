"""An incremental build beside a full one: tokens generated and time, with 1 % of the documents changed.

    python bench/incremental.py [--documents 200] [--questions 3] [--share 0.01] [--tokens-per-second 150]

The documents are synthetic, the model is a fake one behind HTTP that takes as long as a real one of the given speed
would (150 tokens a second is what SmolLM2-135M gives on two cores in large batches). Everything else is real: Beam,
embeddings, retrieval, Prefect, DuckDB. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from beforehand.configuration import prepare_environment, read_settings  # noqa: E402
from bench.fake_llm import FakeLlm, served  # noqa: E402

PARTS = ("boiler", "pump", "grinder", "valve", "display", "filter", "hose", "lamp", "wheel", "lid")
FACTS = {
    "weight": "The {name} weighs {n} grams without its packaging.",
    "price": "A new {name} costs {n} euros in the shop, delivery included.",
    "life": "The {name} lasts for {n} hours of work before it has to be replaced.",
}
QUESTIONS = ("How much does the {name} weigh?", "What does a new {name} cost?", "How many hours does the {name} last?")


CONFIGURATION = """
[project]
data = "data"
models = {models}
[llm]
model = "fake-model"
[collections.default]
documents = ["documents"]
questions = ["questions.txt"]
[prompt]
template = "prompt.txt"
[batch]
generate_with = "endpoints"
endpoints = ["{url}/v1"]
checkpoint_answers = 64
[audit]
most_alike = 1.0
"""


@dataclass(frozen=True)
class Project:
    """A folder with a configuration, documents and questions, and the address of its language model."""

    folder: Path
    url: str


def write_corpus(project: Project, documents: int, questions: int) -> None:
    folder = project.folder / "documents"
    folder.mkdir(parents=True)
    (project.folder / "prompt.txt").write_text("[user]\n{passages}\n\nQuestion: {question}\n")
    names = [f"{PARTS[number % len(PARTS)]} M{number}" for number in range(documents)]
    for number, name in enumerate(names):
        facts = (fact.format(name=name, n=100 + number) for fact in FACTS.values())
        (folder / f"part-{number}.md").write_text(f"# {name.capitalize()}\n\n" + " ".join(facts) + "\n")
    asked = [question.format(name=name) for name in names for question in QUESTIONS[:questions]]
    (project.folder / "questions.txt").write_text("\n".join(asked) + "\n")
    # most_alike: the fake model quotes one sentence, so some answers are alike
    configuration = CONFIGURATION.format(models=json.dumps(str(ROOT / "models")), url=project.url)
    (project.folder / "beforehand.toml").write_text(configuration)


def change(project: Project, documents: int, share: float) -> int:
    """Change a number in so many documents and return how many those are."""
    changed = max(1, round(documents * share))
    for number in range(0, documents, documents // changed):
        path = project.folder / "documents" / f"part-{number}.md"
        path.write_text(path.read_text().replace(" euros", "0 euros"))
    return len(range(0, documents, documents // changed))


def build(project: Project, what: str) -> dict[str, Any]:
    from beforehand.run_plan import compose_plan, new_run
    from flows.build_release import build_release
    from flows.publish_release import Publication

    settings = read_settings((project.folder / "beforehand.toml", ()))
    publication = Publication(settings.audit, settings.history, settings.releases.keep, settings.releases.keep_runs)
    plan = compose_plan(settings, new_run())
    started = time.monotonic()
    ledger = build_release(plan.run_id, plan, publication).ledger
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
    from warehouse.releases.release import current

    with duckdb.connect(str(current(project.folder / "data").database), read_only=True) as connection:
        counted = connection.execute("SELECT count(*) FROM changes WHERE reason = 'passages'").fetchone()
    assert counted is not None
    return int(counted[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--questions", type=int, default=3, choices=(1, 2, 3), help="per document")
    parser.add_argument("--share", type=float, default=0.01, help="of the documents that change")
    parser.add_argument("--tokens-per-second", type=float, default=150)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        llm = FakeLlm(seconds=64 * 40 / options.tokens_per_second, tokens=40)
        with served(llm.app) as url:
            project = Project(Path(temporary) / "project", url)
            write_corpus(project, options.documents, options.questions)
            settings = read_settings((project.folder / "beforehand.toml", ()))
            prepare_environment(settings)
            from flows.prefect_server import prefect_server

            with prefect_server(settings.project.data / "prefect") as server:
                if server is not None:
                    server.wait_until_ready()
                measure(project, options)


def measure(project: Project, options: argparse.Namespace) -> None:
    full = build(project, "full")
    nothing = build(project, "nothing changed")
    changed = change(project, options.documents, options.share)
    incremental = build(project, f"{changed} of {options.documents} documents changed")
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
