"""The plan that workers get who share no folder with this machine: its files and models are in the project's store.

Sent are the models, once, and documents and lists that lie in local folders, for the stage that reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from batch.plan import RunPlan
from batch.runners.options import pipeline_options, works_elsewhere
from batch.sources.source_files import SourceFile
from batch.stores.fetched import digest, send_folder
from batch.stores.object_files import objects_address, write
from warehouse.objects.client import in_parallel
from warehouse.objects.place import place_of

_SENT = "sources"


def for_workers(plan: RunPlan) -> RunPlan:
    """Return the plan for the stages: the same, unless workers are elsewhere and the project has a store.

    Raises:
        StorageError: the store can't be written to.
    """
    place = place_of(Path(plan.data))
    if place is None or not works_elsewhere(plan.settings, pipeline_options(plan.settings)):
        return plan
    root = objects_address(place.address, place.endpoint)
    model = plan.llm.folder
    adapter = _sent(model.adapter.path, root) if model and model.adapter else None
    return replace(
        plan,
        shared=root,
        encoder=_sent(Path(plan.encoder), root),
        reranker=_sent(Path(plan.reranker), root) if plan.reranker else None,
        llm=replace(plan.llm, sent=_sent(model.path, root), sent_adapter=adapter) if model else plan.llm,
    )


def readable_sources(plan: RunPlan, stage: str, sources: Sequence[SourceFile]) -> list[SourceFile]:
    """Return files so that workers can read them: those of local folders are sent, if workers are elsewhere."""
    if plan.shared is None:
        return list(sources)
    copies = [
        f"{plan.folder(stage)}/{_SENT}/{number:06}" if "://" not in source.path else None
        for number, source in enumerate(sources)
    ]
    sent = [replace(source, copy=copy) for source, copy in zip(sources, copies, strict=True)]
    in_parallel(_send, [each for each in sent if each.copy])
    return sent


def forget_sources(plan: RunPlan, stage: str) -> None:
    """Delete what `readable_sources` has sent."""
    if plan.shared is not None:
        FileSystems.delete([f"{plan.folder(stage)}/{_SENT}"])


def _send(source: SourceFile) -> None:
    if source.copy and Path(source.path).is_file():  # one that is gone is a reject, where it is read
        write(source.copy, Path(source.path))


def _sent(folder: Path, root: str) -> str:
    target = f"{root}/models/{digest(folder)}/{folder.name}"
    send_folder(folder, target)
    return target
