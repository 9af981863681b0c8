"""A project whose data is in an object store: what the command line does around a command.

The rooms work on folders. Here the folder that is the store's copy is brought up to date before a command reads it, a
release that a command names is fetched, and what the command recorded is sent at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beforehand.configuration import Config, Settings, read_settings
from warehouse.errors import ReleaseElsewhereError, StorageError
from warehouse.objects.generated import GENERATED, pull_generated, push_all
from warehouse.objects.mirror import Mirror, mirror_of, open_mirror
from warehouse.objects.outbox import waiting
from warehouse.objects.shared_log import follow_log
from warehouse.releases.following import refresh
from warehouse.releases.transfer import pull_release

# Commands that read and write no data, or follow the store themselves.
_ON_THEIR_OWN = ("ask", "follow", "init", "key", "llm", "models", "schedule", "serve", "up")
# Commands that read what runs have generated and embedded; `generate` adds to it.
_NEED_STORES = ("generate", "impact", "plan")


def with_data(call: Callable[[], None], config: Config, command: str) -> None:
    """Run a command with the data of its project on this machine; a project in a folder has it already.

    Raises:
        StorageError: the store can't be used or reached, or the folder holds something else.
    """
    settings = read_settings(config)
    data = settings.project.data
    if settings.project.store is None:
        call()
        return
    mirror = _opened(settings)
    if command in _ON_THEIR_OWN:
        call()
        return
    refresh(data)
    if command in _NEED_STORES:
        pull_generated(mirror)
    try:
        _with_releases(call, mirror)
    except BaseException:
        with suppress(StorageError):
            _send(mirror, command)
        raise
    _send(mirror, command)


@contextmanager
def sharing_stores(data: Path) -> Iterator[None]:
    """Pull what runs have generated before the block, and push what it generated; nothing in an ordinary data folder.

    Raises:
        StorageError: the store can't be reached.
    """
    mirror = mirror_of(data)
    if mirror is None:
        yield
        return
    pull_generated(mirror)
    try:
        yield
    finally:
        push_all(mirror, GENERATED, deletes=False)


def _opened(settings: Settings) -> Mirror:
    project = settings.project
    assert project.store is not None
    address = project.store.get_secret_value()
    endpoint = project.store_endpoint.get_secret_value() if project.store_endpoint else None
    open_mirror(project.data, address, endpoint)
    mirror = mirror_of(project.data)
    assert mirror is not None
    return mirror


def _with_releases(call: Callable[[], None], mirror: Mirror) -> None:
    """Run a command; fetch a release that it asks for and begin again. Each is asked for before anything is printed."""
    fetched: set[str] = set()
    while True:
        try:
            call()
        except ReleaseElsewhereError as error:
            if error.name in fetched:
                raise
            fetched.add(error.name)
            pull_release(mirror, error.name)
        else:
            return


def _send(mirror: Mirror, command: str) -> None:
    try:
        if command == "generate":
            push_all(mirror, GENERATED, deletes=True)
        if waiting(mirror.folder):
            follow_log(mirror)
    except StorageError as error:
        raise StorageError(
            f"{error} What was recorded is kept in {mirror.folder}; the next command sends it."
        ) from None
