"""Child processes that never outlive their parent, however it ends, and the ports that are kept for them.

A child that is started with `-m` watches its parent from a thread of its own. A hook between fork and exec would not
be safe in a parent with threads. The child takes its process group along only if it leads one: otherwise the group
is that of whoever started us.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

PARENT = "BEFOREHAND_PARENT"
"""The variable in which a process passes its id to a command that must end with it."""


def die_with_named_parent() -> None:
    """Die with the parent that the environment names, if any; children of this process don't inherit the variable."""
    if parent := os.environ.pop(PARENT, ""):
        die_with(int(parent))


def die_with(parent: int) -> None:
    """Start watching the parent: when it is gone, this process and its group are killed."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def hold_port(host: str, port: int) -> socket.socket:
    """Return a socket that keeps a port, or a free one for 0: nobody else is given it until the child listens there.

    Raises:
        OSError: the host is unknown, or the port can't be bound.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    held = socket.socket(family, kind, protocol)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that the child may bind it too
    try:
        held.bind(address)
    except OSError:
        held.close()
        raise
    return held


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    (os.killpg if os.getpgrp() == os.getpid() else os.kill)(os.getpid(), signal.SIGKILL)
