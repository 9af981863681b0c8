"""Build a release: the stages in order, each a Prefect task, then write, audit, publish.

The stages' bodies live in `batch`; this module holds only their order, their retries and the words for their
progress. A retry of `generate` costs little: what was generated is in the answer store. No Prefect server is
needed; one that is configured (`PREFECT_API_URL`) is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
from prefect import flow
from prefect.exceptions import CancelledRun
from prefect.flow_engine import run_flow
from prefect.states import State

from batch import progress
from batch.corpus_check.run_warnings import run_warnings
from batch.plan import Figures, MissedQuestion, RunPlan
from batch.retrieval.help_gain import help_warnings
from batch.sharing import for_workers
from batch.stages.anticipate import anticipate
from batch.stages.assess import assess, can_assess
from batch.stages.calibrate import calibrate
from batch.stages.cite import cite
from batch.stages.enrich import enrich, wants_chunk_questions
from batch.stages.generate import generate
from batch.stages.index import index
from batch.stages.join import join, left_to_anticipate, wants_joining
from batch.stages.judge import judge, wants_judge
from batch.stages.prepare import document_ids, prepare
from batch.stages.propose import propose, wants_proposals
from batch.stages.retrieve import retrieve
from batch.stages.reword import reword, wants_wordings
from batch.stages.vary import vary, wants_variations
from batch.stages.weigh import can_weigh, weigh
from flows.compact_journal import compact_journal
from flows.errors import UnknownStageError, server_error, without_secrets
from flows.interruption import ending_soon, interruptions
from flows.ledger import PUBLISHED, Ledger, run_row
from flows.publish_release import Publication, audit_release, load_release, publish_release
from flows.reporting import artifacts
from flows.reporting.logs import say
from flows.reporting.run_states import add_tags, read_run
from flows.shared_data import pull_run, share_stage, share_tidied, sharing
from flows.step import loaded_figures, timed
from flows.tidy_data import tidy_data
from flows.tracked_run import TrackedRun, carry_out, current_flow_run, end_left_jobs, stopped_by
from rag.credentials import secret_values
from warehouse.analysis.connection import connect
from warehouse.durable import storage_errors
from warehouse.editorial.listing import Listings
from warehouse.editorial.withdrawal import Withdrawals, follow_corpus
from warehouse.errors import WarehouseError
from warehouse.releases.build_folder import Held
from warehouse.releases.build_lease import BuildLease
from warehouse.releases.changes import documents_of, note_changes, previous_database
from warehouse.releases.release import Release, current_id
from warehouse.reporting.report import report_markdown
from warehouse.sql import sql_text


@dataclass(frozen=True)
class Stage:
    """A stage; `doing` says for a person what it does, `wanted` whether a plan includes it.

    `needs` are the stages whose folders it reads, as far as they are wanted. One that works `here` has no pipeline: it
    reads and writes this machine's folder, wherever the workers of the others are.
    """

    name: str
    doing: str
    body: Callable[[RunPlan], Figures]
    needs: tuple[str, ...] = ()
    retries: int = 0
    wanted: Callable[[RunPlan], bool] = lambda _: True
    here: bool = False

    def work(self, plan: RunPlan) -> Figures:
        """Do the stage's work where its workers are."""
        return self.body(plan if self.here else for_workers(plan))


STAGES: tuple[Stage, ...] = (
    Stage("prepare", "reading and chunking documents", prepare, retries=1),
    Stage("index", "embedding chunks and building the indexes", index, ("prepare",)),
    Stage(
        "enrich",
        "asking about chunks for further keys",
        enrich,
        ("prepare", "index"),
        1,
        wanted=wants_chunk_questions,
    ),
    Stage(
        "propose", "proposing questions about the documents", propose, ("prepare", "index"), 2, wanted=wants_proposals
    ),
    Stage("weigh", "weighing the rankings of each collection", weigh, ("prepare", "index", "enrich"), wanted=can_weigh),
    Stage("join", "joining visitors' questions to the answers that fit", join, ("prepare",), 1, wanted=wants_joining),
    Stage("anticipate", "collecting the anticipated questions", anticipate, ("prepare",), retries=1),
    Stage("reword", "putting questions in other words", reword, ("anticipate",), 1, wanted=wants_wordings),
    Stage("judge", "judging candidates", judge, ("prepare", "enrich", "anticipate", "reword"), 1, wanted=wants_judge),
    Stage(
        "assess",
        "measuring what help gains on golden questions",
        assess,
        ("prepare", "index", "enrich", "weigh", "anticipate", "reword", "judge"),
        wanted=can_assess,
    ),
    Stage(
        "retrieve",
        "finding the passages of each question",
        retrieve,
        ("prepare", "index", "enrich", "anticipate", "reword", "judge", "assess"),
    ),
    Stage("calibrate", "training the verifier of semantic hits", calibrate, ("anticipate",), here=True),
    Stage("generate", "generating answers", generate, ("anticipate", "retrieve"), retries=2),
    Stage("cite", "linking answers to their passages", cite, ("prepare", "anticipate", "retrieve")),
    Stage(
        "vary",
        "writing further wordings of questions",
        vary,
        ("prepare", "anticipate", "cite"),
        1,
        wanted=wants_variations,
    ),
)


@dataclass(frozen=True)
class Outcome:
    """The release that a build published, and what each stage did."""

    run_id: str
    release_id: str
    ledger: Ledger


def build_release(
    config: Path, plan: RunPlan, publication: Publication, link: UUID | None = None, trigger: str = "manual"
) -> Outcome:
    """Run every stage, load the warehouse, audit the build and publish it.

    Prefect records the parameters of a flow and the texts of its errors. So the flow's parameters are only the run's
    id and the path of the configuration; the plan, which may be large and holds secrets, stays in this process.
    `link` is the flow run that a scheduled build has made for this one, `trigger` says what started it.

    Raises:
        BuildInProgressError: another build is running; a linked one waits for it instead.
        AuditFailedError: the build failed its audit; it is kept and not published.
        AnswersPendingError: answers that are made elsewhere are not there yet.
        BuildCancelledError: somebody cancelled it in Prefect.
        PrefectServerError: Prefect's server can't keep track of the run.
    """
    ledger = Ledger(secrets=secret_values(plan), trigger=trigger)
    published: list[Release] = []
    stopped: list[State[None]] = []
    failed: list[Exception] = []

    @flow(name="build_release", flow_run_name="{run_id}", validate_parameters=False, persist_result=False)
    def build_release(run_id: str, config: str) -> State[None] | None:  # noqa: ARG001  # for people who look at the run
        run = TrackedRun(plan, ledger, current_flow_run(), publication.webhook, link is not None)
        work = partial(_build, plan, publication, run, published)
        try:
            state = without_secrets(lambda: carry_out(run, work), ledger.secrets)
        except Exception as error:
            failed.append(error)
            raise
        stopped.extend([state] if state else [])
        return state

    try:
        flow_run = read_run(link) if link else None
        run_flow(build_release, flow_run, {"run_id": plan.run_id, "config": str(config)})
    except CancelledRun:
        raise stopped_by(stopped[0]) from None
    except httpx.HTTPError as error:  # Prefect's server, which may have the full disk that the build has
        if failed:
            raise failed[0] from None
        if not (published or stopped):
            raise server_error(Path(plan.data), error) from error
        progress.warn([str(server_error(Path(plan.data), error))])
    if stopped:
        raise stopped_by(stopped[0])
    return Outcome(plan.run_id, published[0].release_id, ledger)


def _build(plan: RunPlan, publication: Publication, run: TrackedRun, published: list[Release]) -> None:
    run.begin()
    with sharing(plan):
        _make_release(plan, publication, run, published)


def _make_release(plan: RunPlan, publication: Publication, run: TrackedRun, published: list[Release]) -> None:
    ledger, build = run.ledger, run.begun
    previous = current_id(build.data)
    tidy_data(plan, publication.keep_runs)
    share_tidied(plan)
    compact_journal(plan.data, publication.history.recorded())
    plan = run_stages(plan, ledger, build.lease)
    timed("load", "loading the warehouse", ledger, lambda: loaded_figures(load_release(plan, build, ledger)))
    timed("changes", "comparing with the release before", ledger, lambda: note_changes(build))
    checks = timed("audit", "auditing the build", ledger, lambda: audit_release(plan, build, publication))
    artifacts.show_audit(checks)
    release = timed(
        "publish",
        "publishing the release",
        ledger,
        lambda: publish_release(plan, build, checks, publication.keep, run.facts),
    )
    published.append(release)
    _show(plan, publication, run, release, previous)


def run_stages(plan: RunPlan, ledger: Ledger, lease: Held) -> RunPlan:
    """Run the stages that a plan wants, in their order; return the plan as it then is."""
    plan = replace(plan, withdrawn=Withdrawals(Path(plan.data)).by_people(), misses=find_misses(plan))
    for stage in STAGES:
        if stage.wanted(plan):
            run_stage(stage, plan, ledger)
            share_stage(plan, lease)
        if stage.name == "prepare":
            warn(run_warnings(plan))
            notice_withdrawals(plan)
        if stage.name == "assess" and stage.wanted(plan):
            progress.warn(help_warnings(plan))
        if stage.name == "join" and stage.wanted(plan):
            plan = replace(plan, misses=left_to_anticipate(plan))
    return plan


def _show(plan: RunPlan, publication: Publication, run: TrackedRun, release: Release, previous: str | None) -> None:
    """Leave in Prefect what a person wants to know of a run that published a release."""
    ledger = run.ledger
    artifacts.show_stages(plan.run_id, ledger.seconds, ledger.figures)
    artifacts.show_changes(ledger.figures["changes"], previous, release.release_id)
    artifacts.show_cost(run_row(plan, ledger, PUBLISHED), publication.cost)
    artifacts.link_release(release.release_id, release.path)
    try:
        artifacts.show_report(report_markdown(Path(plan.data), publication.cost))
    except WarehouseError as error:  # the release is published, whatever is wrong with the history
        warn([f"there is no report of this run: {error}"])
    add_tags(run.flow_run, f"release:{release.release_id}")


def warn(sentences: list[str]) -> None:
    """Say what a person should read, on the terminal and in Prefect."""
    progress.warn(sentences)
    for each in sentences:
        say(f"warning: {each}")


def notice_withdrawals(plan: RunPlan) -> None:
    """Withdraw the documents that are gone from the corpus: servers stop serving their answers at once.

    If more than half of a collection is gone, that is taken for an accident (a folder that was emptied or not
    mounted): nothing is withdrawn, and the audit decides.
    """
    data = Path(plan.data)
    database = previous_database(data)
    if database is None:
        return
    before = documents_of(database)
    for collection, present in document_ids(plan).items():
        known = before.get(collection, set())
        if len(known - present) <= len(known) / 2:
            follow_corpus(data, collection, known, present)


def find_misses(plan: RunPlan) -> tuple[MissedQuestion, ...]:
    """Return the questions of the history that were asked often enough, by enough askers, and not anticipated."""
    often = plan.settings.anticipate_misses
    data = Path(plan.data)
    if not often or previous_database(data) is None:
        return ()
    parameters = {
        "often": often,
        "least_askers": plan.settings.least_askers,
        "approved": sorted(Listings(data).approved()),
    }
    with connect(data, redaction=plan.redaction, described=False) as session:
        rows = session.execute(sql_text("journal_questions.sql"), parameters).fetchall()
    return tuple(MissedQuestion(*row) for row in rows if row[0] in plan.collections)


def run_one_stage(name: str, plan: RunPlan) -> None:
    """Run one stage alone, outside a flow, on the folders that earlier stages wrote.

    Raises:
        UnknownStageError: there is no such stage or run, or a stage that it needs was not run.
        BuildInProgressError: a build is running; it might delete what the stage writes.
    """
    found = [stage for stage in STAGES if stage.name == name]
    if not found:
        raise UnknownStageError(f"--stage {name}: unknown; the stages are {', '.join(stage.name for stage in STAGES)}")
    if not Path(plan.data, "runs", plan.run_id).is_dir():
        raise UnknownStageError(f"--run {plan.run_id}: there is no such run in {plan.data}")
    pull_run(plan)
    wanted = {stage.name for stage in STAGES if stage.wanted(plan)}
    for needed in found[0].needs:
        if needed in wanted and not Path(plan.folder(needed)).is_dir():
            raise UnknownStageError(
                f"--stage {name}: it needs what the stage {needed} writes, and run {plan.run_id} has none of it; "
                f"`beforehand run --stage {needed}` comes first"
            )
    data = Path(plan.data)
    lease = BuildLease.acquire(data, plan.run_id)
    try:
        end_left_jobs(data)
        with ending_soon(lease.release), interruptions(), storage_errors(data, f"run the stage {name}"), sharing(plan):
            _run_alone(found[0], plan)
            share_stage(plan, lease)
    finally:
        lease.release()


def _run_alone(stage: Stage, plan: RunPlan) -> None:
    progress.enter(stage.name, stage.doing)
    started = time.monotonic()
    progress.leave(stage.name, stage.work(plan), time.monotonic() - started)


def run_stage(stage: Stage, plan: RunPlan, ledger: Ledger) -> None:
    """Run one stage as a task."""
    timed(stage.name, stage.doing, ledger, lambda: stage.work(plan), stage.retries)
