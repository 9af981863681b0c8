"""A process that has imported what `beforehand run` needs, and forks one for each line that it reads.

A run spends most of its seconds importing Beam and Prefect; a test that kills twenty of them can't wait for that.
A line is JSON: `arguments` of the command line, `log` for what it says, `ended` for its exit code once it has ended
(negative: the signal), and optionally `die_at`, the number of the file operation of publishing before which the run
kills itself; the log ends with how many there were. For each run a line with its process id comes back.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

OPERATIONS = ("open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir", "os.link")


def main() -> None:
    import batch.stages.prepare  # noqa: F401
    import flows.build_release
    import flows.publish_release  # noqa: F401
    import online.server  # noqa: F401
    from tests.quick_beam import remember_what_beam_derives

    remember_what_beam_derives()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that keep a run
    print("ready", flush=True)
    while line := sys.stdin.readline():
        if os.fork() == 0:
            keep(json.loads(line))


def keep(job: dict[str, Any]) -> None:
    """Start a run as a process, wait for it, and write how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process == 0:
        run(job)
    print(process, flush=True)
    _, status = os.waitpid(process, 0)
    with open(job["ended"], "w") as ended:  # noqa: PTH123
        print(os.waitstatus_to_exitcode(status), file=ended)
    os._exit(0)


def run(job: dict[str, Any]) -> None:
    from beforehand.cli import main as front_door

    with open(job["log"], "wb") as log:  # noqa: PTH123
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    seen = die_at(int(job.get("die_at") or 0))
    sys.argv = ["beforehand", *job["arguments"]]
    code = 1
    try:
        front_door()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        if job.get("die_at") is not None:
            print(f"operations: {seen()}")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def die_at(point: int) -> Callable[[], int]:
    """Kill this process before its file operation number `point` of publishing; returns a counter.

    Publishing begins with the folder of the collections' indexes and ends with the pruning of old releases.
    """
    seen = 0

    def count(event: str, arguments: Any) -> None:
        nonlocal seen
        if event in OPERATIONS and "/releases/" in str(arguments[0]):
            seen += seen > 0 or (event == "os.mkdir" and str(arguments[0]).endswith("/collections"))
            if point and seen == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    return lambda: seen


if __name__ == "__main__":
    main()
