"""The schedule: a release in every batch window, and the chores around it.

A scheduled build is `beforehand run` in its own process, whose flow run is a child of the scheduled one. Builds run
one at a time: Prefect's concurrency limit delays the next, and the lease on the build one from anywhere else. After
any pause one build catches up for all that were missed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Sequence
from contextlib import chdir, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow, flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.flows import EntrypointType
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.states import State

from flows.chores import check_release, prune_data
from flows.command import Ended, command, told
from flows.compact_journal import compact_journal
from flows.flow_process import awaited_processes, live_with_schedule, undisturbed
from flows.missed_runs import is_superseded, skip_superseded, trigger_of
from flows.prefect_server import LINK, TRIGGER
from flows.reporting.alerts import WEBHOOK, Alert, send, webhook_of_environment
from flows.reporting.run_states import (
    INTERRUPTED_STATE,
    add_tags,
    begin_cancelling,
    cancelled_state,
    crashed_state,
    end_run,
    end_run_surely,
    failed_state,
    is_cancelled,
    make_child_run,
    page_of,
    read_run,
    superseded_state,
)
from flows.settings import ScheduleSettings
from flows.settle import settle_meanwhile
from flows.tracked_run import current_flow_run
from rag.credentials import SecretAddress
from rag.errors import EXIT_WAITING
from warehouse.errors import WarehouseError

_SETTLE_SECONDS = 30.0
_TELL_SECONDS = 3600.0  # a full disk is found in the morning, and then the reason is of use


@flow(name="scheduled_build", persist_result=False)
def scheduled_build(config: str) -> str | State[Any]:
    """Run `beforehand run` and return its last line, or what it waits for.

    Its settings come from the file and from the environment.

    Raises:
        ScheduledRunError: the build ended with an error; it quotes the sentence that the command line ends with.
    """
    live_with_schedule()
    own = current_flow_run()
    if later := is_superseded(own, datetime.now(UTC)):
        return superseded_state(later)
    trigger = trigger_of(own)
    tags = [f"trigger:{trigger}"]
    add_tags(own, *tags)
    child = make_child_run(_named("build_release"), {"config": config}, tags)
    with command(config, "run", environment={LINK: str(child), TRIGGER: trigger}) as build:
        try:
            ended = build.wait()
        except BaseException:  # Prefect ends a flow with an exception of its own, Ctrl-C with another
            return _stopped(own, child, build.stop)
    return _as_its_process(ended, child, own)


def _named(name: str) -> Flow[..., Any]:
    return Flow(name=name, fn=lambda config: config, validate_parameters=False)


def _stopped(own: UUID, child: UUID, stop: Any) -> State[Any]:
    """Stop the build for the reason why the flow is stopped, and return the state that both have."""
    with undisturbed():
        in_prefect = is_cancelled(own)
        if in_prefect:
            begin_cancelling(child)
        stop()
        state = cancelled_state(in_prefect=in_prefect)
        end_run(child, state)
    return state


def _as_its_process(ended: Ended, child: UUID, own: UUID) -> str | State[Any]:
    """Give the flow and its child the state that their process has: neither outlives it."""
    now = read_run(child).state
    if now is not None and now.is_cancelled():
        return cancelled_state(in_prefect=now.name != INTERRUPTED_STATE)
    if ended.code == EXIT_WAITING:
        return ended.sentence
    if now is not None and now.is_final():
        line = (told(ended).splitlines() or [""])[-1]
        add_tags(own, *(f"release:{each}" for each in line.split()[-1:]))
        return line
    killed = ended.code < 0
    message = f"the build's process was killed by signal {-ended.code}" if killed else ended.sentence
    send(webhook_of_environment(), Alert("crashed" if killed else "failed", message, None, str(own), page_of(own)))
    end_run_surely(child, crashed_state(message) if killed else failed_state(message), _TELL_SECONDS)
    return crashed_state(message) if killed else failed_state(message)


def deployments(
    config: Path, settings: ScheduleSettings, data: Path, history: dict[str, object]
) -> list[RunnerDeployment]:
    """Return what is scheduled; `prefect.yaml` has the same for workers of one's own."""
    path = {"config": str(config.resolve())}
    journal = {"data": str(data.resolve()), "settings": history}
    queued, dropped = ConcurrencyLimitStrategy.ENQUEUE, ConcurrencyLimitStrategy.CANCEL_NEW
    planned: list[tuple[Flow[..., Any], str, dict[str, Any], str, ConcurrencyLimitStrategy]] = [
        (scheduled_build, "window", path, settings.cron, queued),
        (compact_journal, "hourly", journal, settings.compact_cron, dropped),
        (check_release, "weekly", path, settings.check_cron, dropped),
        (prune_data, "daily", path, settings.prune_cron, dropped),
    ]
    return [
        each.to_deployment(
            name=name,
            parameters=parameters,
            schedule=Cron(cron, timezone=settings.timezone),
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=strategy),
            entrypoint_type=EntrypointType.MODULE_PATH,
            tags=["beforehand"],
        )
        for each, name, parameters, cron, strategy in planned
    ]


def keep_schedule(
    config: Path, settings: ScheduleSettings, data: Path, history: dict[str, object], webhook: SecretAddress | None
) -> None:
    """Register the flows with the Prefect server and run them on schedule until stopped."""
    planned = deployments(config, settings, data, history)
    skip_superseded([each.full_name for each in planned], datetime.now(UTC))
    if webhook is not None:
        os.environ[WEBHOOK] = webhook.get_secret_value()
    data.mkdir(parents=True, exist_ok=True)
    data = data.resolve()
    # Prefect imports a flow from the working folder first, where a user may have packages of our names.
    with chdir(data), awaited_processes(data / "prefect" / "flows") as end_flows, suppress(KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores it
        asyncio.run(_serve(planned, end_flows, partial(settle_meanwhile, data, webhook)))


async def _serve(
    planned: Sequence[RunnerDeployment],
    end_flows: Callable[[], None],
    settle: Callable[[Collection[str]], Collection[str]],
) -> None:
    """Run what is due, until Ctrl-C or SIGTERM; either lets the flows that run end in order.

    Prefect's runner kills them at once, and on SIGTERM it stops halfway, with pages of errors.
    """
    runner = Runner(pause_on_shutdown=False)
    for each in planned:
        await runner.aadd_deployment(each)
    interrupted = signal.getsignal(signal.SIGINT)  # asyncio's: it ends the loop

    def end(*_: object) -> None:
        with undisturbed():
            end_flows()
        if callable(interrupted):
            interrupted(signal.SIGINT, None)

    signal.signal(signal.SIGINT, end)
    runner.handle_sigterm = end
    settling = asyncio.create_task(_settle_ever_again(settle))
    try:
        await runner.start()
    finally:
        settling.cancel()


async def _settle_ever_again(settle: Callable[[Collection[str]], Collection[str]]) -> None:
    seen: Collection[str] = ()
    while True:
        await asyncio.sleep(_SETTLE_SECONDS)
        with suppress(WarehouseError, OSError):  # a full disk: it is tried again
            seen = await asyncio.to_thread(settle, seen)
