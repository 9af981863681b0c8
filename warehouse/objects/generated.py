"""What the language model wrote and what was embedded: the stores that any machine's next run reuses."""

from __future__ import annotations

from collections.abc import Iterable

from warehouse.objects.client import in_parallel
from warehouse.objects.mirror import Mirror
from warehouse.objects.trees import delete_gone, pull_tree, push_tree

GENERATED = ("answers", "proposals", "retrieval", "batches")
"""The folders of generated texts, and of batches that are under way elsewhere."""

_VECTORS = ("embeddings", "token_vectors")


def pull_generated(mirror: Mirror) -> None:
    """Pull all stores, and what the stages of earlier runs have written.

    Raises:
        StorageError: the store or the disk refuses.
    """
    folders = [f"{kind}/{name}" for kind in (*_VECTORS, "runs") for name in mirror.store.folders(kind)]
    in_parallel(lambda prefix: pull_tree(mirror, prefix), [*GENERATED, *folders])


def push_all(mirror: Mirror, prefixes: Iterable[str], *, deletes: bool) -> None:
    """Push what is new below some prefixes; with `deletes`, delete what was removed here.

    Raises:
        StorageError: the store or the disk refuses; what is pushed stays, and the rest goes with the next push.
    """
    for prefix in prefixes:
        push_tree(mirror, prefix)
        if deletes:
            delete_gone(mirror, prefix)
