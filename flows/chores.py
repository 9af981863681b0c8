"""The chores around the builds, as flows: the weekly check of the current release, and pruning.

Each is a command of ours in a process of its own, so that anybody can run it by hand, too.
"""

from __future__ import annotations

from prefect import flow

from flows.command import run_command, told
from flows.errors import ScheduledRunError
from flows.flow_process import live_with_schedule
from flows.reporting.alerts import Alert, send, webhook_of_environment
from flows.reporting.artifacts import show_lines
from flows.reporting.run_states import page_of
from flows.tracked_run import current_flow_run


@flow(name="check_release", persist_result=False)
def check_release(config: str) -> str:
    """Check the current release: its checksums, its certificates, its golden questions.

    Raises:
        ScheduledRunError: something is not as it was; the message says what.
    """
    live_with_schedule()
    ended = run_command(config, "releases", "check")
    show_lines("release-check", "Check of the current release", [*ended.said.splitlines(), *_own(ended.complaints)])
    if ended.code:
        own = current_flow_run()
        send(webhook_of_environment(), Alert("check failed", ended.sentence, None, str(own), page_of(own)))
        raise ScheduledRunError(ended.sentence)
    return told(ended)


def _own(complaints: str) -> list[str]:
    return [line for line in complaints.splitlines() if line.startswith("beforehand: ")]


@flow(name="prune_data", persist_result=False)
def prune_data(config: str) -> str:
    """Remove the releases, failed builds and files of runs that are no longer kept.

    Raises:
        ScheduledRunError: the command ended with an error.
    """
    live_with_schedule()
    return told(run_command(config, "releases", "prune"))
