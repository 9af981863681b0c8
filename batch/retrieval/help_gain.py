"""What the language model's help for retrieval gains on golden questions, as a run keeps it (`help.json`) and tells it.

`batch.retrieval.help_measuring` measures it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from batch.plan import Assistance, RunPlan
from batch.stores.local_folders import local_copy

HELPS = ("rewordings", "sketch", "judge", "chunk_questions")
PLAIN, ALL = "plain", "all"
_FILE = "help.json"

Figures = Mapping[str, float]


@dataclass(frozen=True)
class HelpGain:
    """The figures of a collection's golden questions: `plain`, with each help that it wants, and with `all` of them.

    `questions` are those measured: their right passages are known and the run anticipated them. `dropped` are the
    helps that the run does without.
    """

    questions: int
    figures: Mapping[str, Figures]
    dropped: tuple[str, ...]

    def sentences(self) -> Iterator[str]:
        """Yield what a person should know of a help that gains nothing."""
        for name in [each for each in HELPS if each in self.figures]:
            before, after = self.figures[PLAIN]["mrr"], self.figures[name]["mrr"]
            if after > before:
                continue
            verdict = "gains nothing" if after == before else f"does harm (MRR {before:.3f} without, {after:.3f} with)"
            used = ", so the run ranks without it" if name in self.dropped else ""
            off = "false" if name == "sketch" else "0"
            yield (
                f"[retrieval] {name} {verdict} on {_counted(self.questions)}{used}; {name} = {off} saves its tokens, "
                "or name a more capable model"
            )


def _counted(questions: int) -> str:
    return f"{questions} golden question{'' if questions == 1 else 's'}"


def save_gains(folder: Path, gains: Mapping[str, HelpGain]) -> None:
    """Write the gains of a run's collections into a folder."""
    (folder / _FILE).write_text(json.dumps({name: asdict(gain) for name, gain in gains.items()}), encoding="utf-8")


def read_gains(plan: RunPlan) -> dict[str, HelpGain]:
    """Return what a run measured, by collection; nothing where it did not measure."""
    with local_copy(plan.folder("assess")) as folder:
        path = folder / _FILE
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return gains_from(found)


def gains_from(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, HelpGain]:
    """Return gains from what a manifest or the run's file states of them."""
    return {name: HelpGain(each["questions"], each["figures"], tuple(each["dropped"])) for name, each in facts.items()}


def used_assistance(plan: RunPlan, collection: str, gains: Mapping[str, HelpGain]) -> Assistance:
    """Return the help that a run ranks a collection's questions with: what it wants, but what does harm."""
    dropped = gains[collection].dropped if collection in gains else ()
    nothing = Assistance()
    return replace(plan.assistance(collection), **{name: getattr(nothing, name) for name in dropped})


def help_warnings(plan: RunPlan) -> list[str]:
    """Return a sentence for each help that gains nothing in a run."""
    return [f"{name}: {each}" for name, gain in read_gains(plan).items() for each in gain.sentences()]


def help_facts(plan: RunPlan) -> dict[str, object]:
    """Return for each collection what the manifest states of the help for its retrieval."""
    return {name: asdict(gain) for name, gain in read_gains(plan).items()}
