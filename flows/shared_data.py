"""A run whose data folder mirrors an object store: what it pulls first, and what it pushes on the way.

Pulled are the stores, so that nothing is generated or embedded twice on another machine; pushed are the generated texts
as they are checkpointed, by a thread, and each stage's files when it ends. So another machine can go on after this one
was killed. A store that is away for a while does not end a run: what can't be pushed goes with the next push, and only
the release needs the store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch import progress
from batch.plan import RunPlan
from batch.runners.options import pipeline_options, works_elsewhere
from warehouse.errors import StorageError
from warehouse.objects.client import in_parallel
from warehouse.objects.generated import GENERATED, push_all
from warehouse.objects.mirror import Mirror, mirror_of
from warehouse.objects.trees import delete_tree, pull_tree
from warehouse.releases.build_folder import Held

_PUSH_SECONDS = 2.0


@contextmanager
def sharing(plan: RunPlan) -> Iterator[None]:
    """Pull what a run reuses, and push what it makes until the block ends; nothing in an ordinary data folder.

    Raises:
        StorageError: the store can't be reached at the start.
    """
    mirror = mirror_of(Path(plan.data))
    if mirror is None:
        yield
        return
    progress.enter("pull", "copying what earlier runs left in the store")
    in_parallel(lambda prefix: pull_tree(mirror, prefix), _stores(plan))
    ended = threading.Event()
    pushing = threading.Thread(target=_push_generated, args=(mirror, ended), name="push", daemon=True)
    pushing.start()
    try:
        yield
    finally:
        ended.set()
        pushing.join()
        _push(mirror, _stores(plan))


def pull_run(plan: RunPlan) -> None:
    """Pull what the stages of an earlier run have written.

    Raises:
        StorageError: the store can't be reached.
    """
    if (mirror := mirror_of(Path(plan.data))) is not None:
        pull_tree(mirror, f"runs/{plan.run_id}")


def share_tidied(plan: RunPlan) -> None:
    """Delete in the store what tidying the data folder has merged or removed; the caller holds the lease.

    Raises:
        StorageError: the store can't be reached.
    """
    if (mirror := mirror_of(Path(plan.data))) is None:
        return
    push_all(mirror, _stores(plan), deletes=True)
    for run_id in mirror.store.folders("runs"):
        if not (mirror.folder / "runs" / run_id).is_dir():
            delete_tree(mirror, f"runs/{run_id}")


def share_stage(plan: RunPlan, lease: Held) -> None:
    """Pull what a stage's workers have written to the store, and push what it has written here.

    Raises:
        BuildInProgressError: the lease was lost, so another run builds.
    """
    if (mirror := mirror_of(Path(plan.data))) is not None:
        with suppress(StorageError):  # it is asked again before anything is published
            lease.require()
        if works_elsewhere(plan.settings, pipeline_options(plan.settings)):
            in_parallel(lambda prefix: pull_tree(mirror, prefix), (f"runs/{plan.run_id}", *_stores(plan)))
        _push(mirror, (f"runs/{plan.run_id}", *_stores(plan)), deletes=True)


def _stores(plan: RunPlan) -> tuple[str, ...]:
    """Return the prefixes of what a later run reuses."""
    embedded = [Path(each).relative_to(plan.data).as_posix() for each in (plan.embedding_store, plan.token_store)]
    return (*GENERATED, *embedded, "verifiers")


def _push_generated(mirror: Mirror, ended: threading.Event) -> None:
    """Push generated texts every two seconds, so that a machine that is lost takes few with it."""
    while not ended.wait(_PUSH_SECONDS):
        with suppress(StorageError):  # the push at the end of the stage tells
            push_all(mirror, GENERATED, deletes=True)


def _push(mirror: Mirror, prefixes: tuple[str, ...], *, deletes: bool = False) -> None:
    try:
        push_all(mirror, prefixes, deletes=deletes)
    except StorageError as error:
        progress.warn([f"{error} What is not in the store yet stays in {mirror.folder}, for the next push."])
