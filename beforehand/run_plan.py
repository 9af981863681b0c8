"""Makes the plan of a run from the settings: finds the models, and refuses what can't work before anything runs.

Heavy packages are imported by the function that needs them.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from beforehand.configuration import Settings
from beforehand.model_names import find_model, named_model, pinned_revision, served_name
from rag.errors import ConfigurationError, ModelError
from rag.identity import UNPINNED, ModelIdentity

if TYPE_CHECKING:
    from batch.models.model_folder import ModelFolder
    from batch.plan import LlmSource, RunPlan
    from warehouse.audit.golden import Golden


def new_run() -> str:
    """Return an id for a new run; it begins with the time, so that ids sort."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def run_for_stage(settings: Settings, stage: str) -> str:
    """Return the id of the latest run; in a project without any, `prepare` begins one.

    Raises:
        ConfigurationError: there is no run, and the stage needs earlier ones.
    """
    folder = settings.project.data / "runs"
    runs = sorted(each.name for each in folder.glob("*") if each.is_dir())
    if runs:
        return runs[-1]
    if stage != "prepare":
        raise ConfigurationError(
            f"{settings.project.data}: holds no run yet; `beforehand run` makes one, or begin with "
            "`beforehand run --stage prepare`"
        )
    begun = new_run()
    (folder / begun).mkdir(parents=True)
    return begun


def compose_plan(settings: Settings, run_id: str) -> RunPlan:
    """Return the plan of a run with these settings."""
    from batch.plan import RunPlan
    from batch.reading.personal_data import finder
    from batch.sources.local_files import is_glob
    from batch.stores.embedding_store import encoder_id
    from rag.llm.protocol import Sampling
    from rag.prompting.template import PromptTemplate
    from rag.retrieval.embedding import read_spec

    if not settings.collections:
        raise ConfigurationError("the configuration has no [collections.NAME]; name the documents and questions there")
    if is_glob(str(settings.project.data)):
        raise ConfigurationError(
            f"[project] data = {settings.project.data}: its path holds one of * ? [, which Beam reads as a pattern; "
            "name another folder"
        )
    encoder = find_model(settings, "[encoder] model", settings.encoder.model, "encoder").path
    own = read_spec(encoder)
    query, passage = settings.encoder.query_prefix, settings.encoder.passage_prefix
    spec = replace(
        own,
        query_prefix=own.query_prefix if query is None else query,
        passage_prefix=own.passage_prefix if passage is None else passage,
    )
    if settings.chunking.max_tokens > spec.max_tokens:
        raise ConfigurationError(
            f"[chunking] max_tokens = {settings.chunking.max_tokens}: {settings.encoder.model} reads at most "
            f"{spec.max_tokens} tokens; set it to that or less"
        )
    finder(settings.batch.pii_model)  # else a wrong one fails in the first night after visitors typed something
    reranker = find_reranker(settings)
    plan = RunPlan(
        run_id=run_id,
        data=str(settings.project.data),
        collections=settings.collections,
        encoder=str(encoder),
        encoder_id=encoder_id(encoder, spec),
        encoder_spec=spec,
        llm=llm_source(settings),
        template=PromptTemplate.load(settings.prompt.template).text,
        sampling=Sampling(**settings.sampling.model_dump()),
        chunking=settings.chunking,
        retrieval=settings.retrieval,
        settings=settings.batch,
        reranker=str(reranker.path) if reranker else None,
        reranker_id=reranker.identity if reranker else None,
        canaries=tuple(settings.audit.canaries),
        golden=golden_questions(settings),
        redaction=settings.history.redaction,
        models=model_facts(settings, reranker),
    )
    return plan if settings.llm.mode != "none" else without_model(plan)


def without_model(plan: RunPlan) -> RunPlan:
    """Return the plan of a project without a language model, which anticipates nothing that visitors asked.

    Raises:
        ConfigurationError: something in it needs a model.
    """
    from batch.plan import Assistance

    for name, collection in plan.collections.items():
        wanted = {"proposals": collection.proposals, "wordings": collection.wordings}
        help_of = plan.assistance(name)
        wanted |= {each: getattr(help_of, each) for each in Assistance.__annotations__}
        for setting, value in wanted.items():
            if value:
                raise ConfigurationError(
                    f'[collections.{name}] {setting} = {value}: it needs a language model, and [llm] mode = "none" '
                    "says that there is none; remove one of the two"
                )
    return replace(plan, settings=plan.settings.model_copy(update={"anticipate_misses": 0}))


def llm_source(settings: Settings) -> LlmSource:
    """Return how the batch reaches the language model: in its own workers, or at endpoints."""
    from batch.plan import LlmSource

    if settings.llm.mode == "none":
        return LlmSource("none", "none", UNPINNED, settings.llm.context_tokens, settings.vllm)
    model = language_model(settings) if settings.batch.generate_with == "engine" else None
    return LlmSource(
        kind="engine" if model else "endpoints",
        name=model.name if model else served_name(settings, settings.llm.model),
        revision=model.revision if model else pinned_revision(settings, settings.llm.model) or UNPINNED,
        context_tokens=settings.llm.context_tokens,
        vllm=settings.vllm,
        folder=model,
        endpoints=tuple(settings.batch.endpoints or [settings.llm.endpoint]),
        api_key=settings.llm.api_key,
        timeout_seconds=settings.llm.timeout_seconds,
    )


def model_facts(settings: Settings, reranker: ModelFolder | None) -> dict[str, dict[str, str]]:
    """Return what a manifest says about the models: their names, where they come from, and what they must be."""
    from batch.models.model_folder import facts_of

    encoder = find_model(settings, "[encoder] model", settings.encoder.model, "encoder")
    facts = {"encoder": facts_of(named_model(settings.models, settings.encoder.model), encoder)}
    if reranker is not None and settings.retrieval.reranker is not None:
        facts["reranker"] = facts_of(named_model(settings.models, settings.retrieval.reranker), reranker)
    if settings.llm.mode == "none":
        return facts
    wanted = named_model(settings.models, settings.llm.model)
    if settings.batch.generate_with == "engine":
        return facts | {"generator": facts_of(wanted, language_model(settings))}
    served = {"source": served_name(settings, settings.llm.model), "name": wanted.name}
    pinned = pinned_revision(settings, settings.llm.model)
    return facts | {"generator": {key: value for key, value in {**served, "revision": pinned}.items() if value}}


def live_identity(settings: Settings) -> ModelIdentity:
    """Return how the service names the model, so that its fingerprints are those of the batch.

    A batch that loads the model itself knows its revision from the files, whatever is pinned.
    """
    engine = settings.batch.generate_with == "engine"
    pinned = None if engine else pinned_revision(settings, settings.llm.model)
    return ModelIdentity(served_name(settings, settings.llm.model), pinned)


def find_reranker(settings: Settings) -> ModelFolder | None:
    """Return the configured reranker, or None.

    Raises:
        ModelError: it is missing or torn.
        ConfigurationError: it is not a reranker.
    """
    if settings.retrieval.reranker is None:
        return None
    return find_model(settings, "[retrieval] reranker", settings.retrieval.reranker, "reranker")


def golden_questions(settings: Settings) -> tuple[Golden, ...]:
    """Read the golden questions before the run, so that a mistake in them wastes no generation."""
    from warehouse.audit.golden_files import read_golden

    filtering = {name: each.filtering for name, each in settings.collections.items()}
    return tuple(read_golden(settings.audit.golden, settings.collections, filtering))


def language_model(settings: Settings) -> ModelFolder:
    """Return the configured language model.

    Raises:
        ModelError: it is missing or torn.
        ConfigurationError: it is not a language model.
    """
    try:
        return find_model(settings, "[llm] model", settings.llm.model, "language model")
    except ModelError as error:
        if all(each.curated and not each.questions and not each.proposals for each in settings.collections.values()):
            raise ModelError(f'{error}, or set [llm] mode = "none": every answer here is curated') from None
        raise


def served_model(settings: Settings) -> ModelFolder:
    """Return the whole model that `beforehand llm` loads, with every adapter on it that the configuration names.

    Raises:
        ModelError: a model or an adapter is missing or torn.
        ConfigurationError: the model is not a language model.
    """
    section = settings.models.get(settings.llm.model)
    name = section.base if section is not None and section.base is not None else settings.llm.model
    whole = find_model(settings, "[llm] model", name, "language model")
    files = named_model(settings.models, name).files
    upon = [
        each
        for each in settings.models
        if (base := named_model(settings.models, each).base) is not None and base.files == files
    ]
    adapters = (find_model(settings, f"[models.{each}]", each, "language model").adapter for each in upon)
    return replace(whole, adapters=tuple(each for each in adapters if each is not None))
