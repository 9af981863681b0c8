"""Publish a release: load the stages' Parquet into DuckDB, audit the build, publish it.

The build's folder is filled, sealed and made current, or kept as failed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq

from batch.corpus_check.run_warnings import run_warnings
from batch.memory import memory_bytes
from batch.models.onnx_export import describe_served, served_files
from batch.plan import RunPlan
from batch.retrieval.help_gain import help_facts, help_warnings
from batch.retrieval.index_building import index_kinds
from batch.retrieval.question_ranking import index_questions, index_wordings
from batch.stages.calibrate import count_fences, selection_facts, selector_path
from batch.stages.check_encoder import encoder_agreement
from batch.stages.weigh import fusion_facts
from batch.stores.parquet import rows_to_table
from flows.ledger import FAILED_AUDIT, PUBLISHED, Ledger, run_row
from flows.recorded_settings import only_recorded
from rag.collection_settings import CollectionSettings
from rag.credentials import SecretAddress
from warehouse.analysis.demand import demand
from warehouse.audit.release_audit import Check, audit, failures, note_status
from warehouse.errors import AuditFailedError
from warehouse.history.run_log import logged_runs
from warehouse.releases.build import fail, publish, seal
from warehouse.releases.build_folder import Build
from warehouse.releases.load import load_release_database
from warehouse.releases.release import Release
from warehouse.releases.retention import prune
from warehouse.releases.serving_index import count_wordings, served_keys, withheld_keys, write_serving_index
from warehouse.settings import AuditSettings, CostSettings, HistorySettings
from warehouse.sql import limit_memory
from warehouse.tables import ModelRow, PromptTemplateRow, RunRow, RunStageRow

_LEAST_AGREEMENT = 0.999  # cosine; the same model exported twice differs by 1e-6
_REJECTING = ("prepare", "enrich", "propose", "anticipate", "reword", "judge", "calibrate", "generate")


@dataclass(frozen=True)
class Publication:
    """The settings that decide whether and how a build is published.

    `keep` and `keep_runs` are how many releases and runs are kept; `webhook` is told when a run fails.
    """

    audit: AuditSettings
    history: HistorySettings
    keep: int
    keep_runs: int = 7
    cost: CostSettings = field(default_factory=CostSettings)
    webhook: SecretAddress | None = None


def load_release(plan: RunPlan, build: Build, ledger: Ledger) -> dict[str, int]:
    """Load the run's tables into the build's DuckDB file; returns the rows of each table."""
    limit_memory(memory_bytes(plan.settings) // 4)
    own = _write_own_tables(plan, ledger)
    folder = plan.folder
    return load_release_database(
        build.database,
        {
            "documents": _parquet(folder("prepare"), "documents"),
            "chunks": _parquet(folder("prepare"), "chunks"),
            "questions": _parquet(folder("anticipate"), "questions"),
            "wordings": _parquet(folder("anticipate"), "wordings"),
            "fences": _parquet(folder("anticipate"), "fences"),
            "retrievals": _parquet(folder("retrieve"), "retrievals"),
            "coverage": _parquet(folder("retrieve"), "coverage"),
            "answers": _parquet(folder("cite"), "answers"),
            "citations": _parquet(folder("cite"), "citations"),
            "findings": [file for stage in ("prepare", "assess") for file in _parquet(folder(stage), "findings")],
            "rejects": [
                *(file for stage in _REJECTING for file in _parquet(folder(stage), "rejects")),
                # each round of prompts to the language model has its own
                *(file for stage in ("join", "generate", "vary") for file in _parquet(folder(stage), "*/rejects")),
            ],
            "set_aside": [*_parquet(folder("anticipate"), "set_aside"), *_parquet(folder("generate"), "set_aside")],
            **{table: [str(path)] for table, path in own.items()},
        },
    )


def _parquet(folder: str, table: str) -> list[str]:
    return [str(path) for path in sorted(Path(folder).glob(f"{table}/*.parquet"))]


def _write_own_tables(plan: RunPlan, ledger: Ledger) -> dict[str, Path]:
    """Write what the flow itself knows: the models, the template, the run and its stages."""
    template: PromptTemplateRow = {"template_id": plan.template_id, "name": "answer", "text": plan.template}
    runs = [*_earlier_runs(plan), run_row(plan, ledger, "built")]
    tables = {
        "models": rows_to_table(_model_rows(plan), ModelRow),
        "prompt_templates": rows_to_table([template], PromptTemplateRow),
        "runs": rows_to_table(runs, RunRow),
        "run_stages": rows_to_table(_stage_rows(plan, ledger), RunStageRow),
    }
    folder = Path(plan.folder("load"))
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        pq.write_table(table, paths[name])
    return paths


def _stage_rows(plan: RunPlan, ledger: Ledger) -> list[RunStageRow]:
    return [
        {
            "run_id": plan.run_id,
            "stage": stage,
            "started_at": ledger.started[stage],
            "seconds": seconds,
            "rows": sum(ledger.figures.get(stage, {}).values()),
        }
        for stage, seconds in ledger.seconds.items()
    ]


def _model_rows(plan: RunPlan) -> list[ModelRow]:
    llm = {"context_tokens": plan.llm.context_tokens, "generated_with": plan.settings.generate_with}
    encoder = {"dimensions": plan.encoder_spec.dimensions, "max_tokens": plan.encoder_spec.max_tokens}
    rows: list[ModelRow] = [
        {
            "model_id": plan.llm.model_id,
            "kind": "llm",
            "name": plan.llm.name,
            "revision": plan.llm.revision,
            "details": json.dumps(llm),
        },
        {
            "model_id": plan.encoder_id,
            "kind": "encoder",
            "name": Path(plan.encoder).name,
            "revision": plan.encoder_id.rsplit("-", 1)[-1],
            "details": json.dumps(encoder),
        },
    ]
    return [*rows, _reranker_row(plan.reranker_id)] if plan.reranker_id else rows


def _reranker_row(identity: str) -> ModelRow:
    name, revision = identity.rsplit("@", 1)
    return {"model_id": identity, "kind": "reranker", "name": name, "revision": revision, "details": "{}"}


def _earlier_runs(plan: RunPlan) -> list[RunRow]:
    runs = cast("list[RunRow]", logged_runs(Path(plan.data)))
    return [{**row, "settings": only_recorded(row["settings"])} for row in runs if row["run_id"] != plan.run_id]


def audit_release(plan: RunPlan, build: Build, publication: Publication) -> list[Check]:
    """Audit the build; answers that fail are withheld in it. Also checks the encoder that the service will use."""
    agreement, texts = encoder_agreement(plan)
    explanation = f"over {texts} texts the service's encoder agrees with the indexes to a cosine of {agreement:.4f}"
    encoder = Check(
        "encoder agreement", agreement >= _LEAST_AGREEMENT, agreement, _LEAST_AGREEMENT,
        f"{explanation} (at least {_LEAST_AGREEMENT}).",
    )  # fmt: skip
    checks = [
        *audit(build, publication.audit, plan.golden, plan.collections),
        encoder,
        _fence_check(plan, publication.audit),
    ]
    note_status(build, PUBLISHED if all(check.passed for check in checks) else FAILED_AUDIT)
    return checks


def _fence_check(plan: RunPlan, settings: AuditSettings) -> Check:
    """Count the fences that would get the answer that they must not, if the service didn't know them as fences."""
    fences, hits = count_fences(plan)
    share = hits / fences if fences else 0.0
    allowed = settings.most_fences_hit
    words = f"{hits} of {fences} fences are kept from their answer by their list alone"
    words += f" ({share:.1%}, at most {allowed:.1%})."
    return Check("fences", share <= allowed, share, allowed, words)


def publish_release(
    plan: RunPlan, build: Build, checks: Sequence[Check], keep: int, flow_run: Mapping[str, object]
) -> Release:
    """Add what servers need to the build's folder, seal it, make it current, and prune old releases.

    `flow_run` is what the manifest says of the run in Prefect: its id, and the address of its page.

    Raises:
        AuditFailedError: a check did not pass; the build is kept for inspection.
    """
    facts = facts_of_build(plan, build, checks, flow_run)
    failed = [check for check in checks if not check.passed]
    if failed:
        kept = fail(build, failures(failed), facts)
        reasons = "".join(f"\n  {failures([check])}" for check in failed)
        raise AuditFailedError(
            f"the build failed its audit and is not published; it is kept as {kept.release_id} for inspection "
            f"(`beforehand releases show {kept.release_id}`):{reasons}"
        )
    seal(build, facts | fill_release(plan, build))
    release = publish(build)
    prune(build.data, keep)
    return release


def facts_of_build(
    plan: RunPlan, build: Build, checks: Sequence[Check], flow_run: Mapping[str, object]
) -> dict[str, object]:
    """Return the manifest's facts about a build that was audited."""
    return {
        **describe(plan),
        "wordings": count_wordings(build.database),
        "audit": [check.as_row() for check in checks],
        "flow_run": dict(flow_run),
    }


def fill_release(plan: RunPlan, build: Build) -> dict[str, object]:
    """Add what servers need to the build's folder; return the manifest's facts about it."""
    cite_fields = {name: each.cite_fields for name, each in plan.collections.items()}
    write_serving_index(build.database, build.serving_index, build.release_id, cite_fields)
    served, withheld = served_keys(build.database), withheld_keys(build.database)
    asked = demand(build.data)
    for collection in plan.collections:
        target = build.path / "collections" / collection
        shutil.copytree(Path(plan.index_folder(collection)), target)
        for learned in Path(plan.folder("weigh"), collection).glob("fusion.json"):
            shutil.copy2(learned, target)
        if (selector := selector_path(plan, collection)).exists():
            shutil.copy2(selector, target)
        index_questions(plan, collection, served, target / "questions", asked)
        index_questions(plan, collection, withheld, target / "withheld", asked)
        index_wordings(plan, collection, served, target / "wordings_served")
        index_wordings(plan, collection, withheld, target / "wordings_withheld")
    _carry_model(Path(plan.encoder), build.path / "encoder")
    describe_served(build.path / "encoder", plan.encoder_spec)
    if plan.reranker:
        _carry_model(Path(plan.reranker), build.path / "reranker")
    verifier = Path(plan.folder("calibrate"), "verifier.json")
    if verifier.exists():
        shutil.copy2(verifier, build.path / "verifier.json")
    (build.path / "prompt.txt").write_text(plan.template, encoding="utf-8")
    return {"indexes": index_kinds(build.path / "collections")}


def describe(plan: RunPlan) -> dict[str, object]:
    """Return the manifest's facts about the plan."""
    return {
        "model": plan.llm.model_id,
        "template": plan.template_id,
        "encoder": {"id": plan.encoder_id, **asdict(plan.encoder_spec)},
        "reranker": plan.reranker_id,
        "models": {kind: dict(facts) for kind, facts in plan.models.items()},
        "retrieval": {**plan.retrieval.recorded(), "fusion": fusion_facts(plan), "help": help_facts(plan)},
        "sampling": plan.sampling.identity(),
        "warnings": [*run_warnings(plan), *help_warnings(plan)],
        "collections": {
            name: {
                "tolerated_error": each.tolerated_error,
                "language": plan.language(name),
                **_declared_filters(each),
                **selection_facts(plan, name),
            }
            for name, each in plan.collections.items()
        },
    }


def _declared_filters(collection: CollectionSettings) -> dict[str, object]:
    """Return what a collection declares about filters; nothing if it declares none."""
    declared = {name: getattr(collection, name) for name in ("filters", "filter_defaults", "key_filters")}
    return {name: value for name, value in declared.items() if value}


def _carry_model(source: Path, target: Path) -> None:
    """Put a model into the release: hard links where the disk allows them, copies elsewhere."""
    target.mkdir()
    for origin in served_files(source):
        try:
            os.link(origin, target / origin.name)
        except OSError:
            shutil.copy2(origin, target / origin.name)
