"""The command `impact`: what an edit of documents would change in the answers, before anything is generated."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beforehand.commands.warehouse import only_collection
from beforehand.configuration import Config, Settings, prepare_environment, read_settings, reported
from beforehand.run_plan import compose_plan, new_run
from rag.errors import ConfigurationError

if TYPE_CHECKING:
    from batch.plan import RunPlan
    from batch.sources.source_files import SourceFile
    from warehouse.planning.impact import Affected, Document
    from warehouse.tables import DocumentRow

_SHOWN = 20
_PATH = click.Path(path_type=Path, exists=True)


@dataclass(frozen=True)
class Edit:
    """The edited documents: those of the release that are different now, and those that are new to it."""

    changed: tuple[str, ...]
    new: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def edited(self) -> tuple[str, ...]:
        """The documents that were named and differ."""
        return self.changed + self.new


@click.command()
@click.argument("documents", nargs=-1, required=True, type=_PATH)
@click.option("--collection", help="The documents' collection, if there are several.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, answer by answer.")
@click.pass_obj
@reported
def impact(config: Config, documents: tuple[Path, ...], collection: str | None, as_json: bool) -> None:
    """Say which answers the edited DOCUMENTS would change, without generating and without touching any data.

    DOCUMENTS are files of the collection as they are now, or edited copies of them: files of the same name, or folders
    with the same paths below. What has no counterpart is a new document, and an empty file stands for one that goes.
    """
    settings = read_settings(config)
    prepare_environment(settings)
    name = collection or only_collection(settings)
    if name not in settings.collections:
        raise ConfigurationError(f"--collection {name}: unknown; known are {', '.join(settings.collections)}")
    edit, affected = find_impact(settings, name, documents)
    if as_json:
        click.echo(json.dumps(as_data(edit, affected), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(described(edit, affected)))


def find_impact(settings: Settings, collection: str, documents: Sequence[Path]) -> tuple[Edit, list[Affected]]:
    """Rehearse a run of the current release's questions on the edited documents, and compare.

    Raises:
        NoReleaseError: nothing has been published.
    """
    from batch.rows import PROMPTS
    from batch.stores.generation_store import known_fingerprints
    from batch.stores.parquet import read_table
    from beforehand.commands.rehearsal import rehearsal, run_to_prompts
    from flows.build_release import STAGES
    from warehouse.planning.impact import impact as impact_of
    from warehouse.releases.release import current
    from warehouse.tables import CHUNKS, RETRIEVALS

    current(settings.project.data)  # else there is nothing to compare with
    with rehearsal(compose_plan(settings, new_run()), keep_vectors=False) as scratch:
        overlaid, named = _overlay(scratch, collection, documents)
        rehearsed, _ = run_to_prompts(overlaid, STAGES, _ask_as_released)
        edit = _edit(rehearsed, collection, named)
        keys = ["query_key", "fingerprint", "passages_hash"]
        new = {
            "chunks": read_table(f"{rehearsed.folder('prepare')}/chunks", CHUNKS),
            "retrievals": read_table(f"{rehearsed.folder('retrieve')}/retrievals", RETRIEVALS),
            "prompts": read_table(f"{rehearsed.folder('retrieve')}/prompts", PROMPTS, keys),
        }
        edited: set[Document] = {(collection, each) for each in edit.edited}
        return edit, impact_of(Path(scratch.data), new, edited, known_fingerprints(scratch.answer_store))


def _overlay(plan: RunPlan, collection: str, documents: Sequence[Path]) -> tuple[RunPlan, set[str]]:
    """Return the plan with the edited documents in the place of the collection's own, and the names of the edited."""
    from batch.sources.source_files import find_documents
    from batch.stores.parquet import read_bytes
    from rag.credentials import SecretAddress

    sources = find_documents({collection: plan.collections[collection]}, plan.settings).sources
    edited = _edited_files(sources, documents)
    folder = Path(plan.data, "edited", collection)
    for name, path in {**{each.name: each.path for each in sources}, **edited}.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if "://" in path:
            target.write_bytes(read_bytes(path))
        else:
            target.symlink_to(Path(path).resolve())
    settings = plan.collections[collection].model_copy(
        update={"documents": [SecretAddress(str(folder))], "exclude": []}
    )
    return replace(plan, collections={**plan.collections, collection: settings}), set(edited)


def _edited_files(sources: Sequence[SourceFile], documents: Sequence[Path]) -> Mapping[str, str]:
    """Return the edited files by the names of the documents that they are or become."""
    names = {each.name for each in sources}
    own = {str(Path(each.path).resolve()): each.name for each in sources if "://" not in each.path}
    found: dict[str, str] = {}
    for given in documents:
        files = sorted(path for path in given.rglob("*") if path.is_file()) if given.is_dir() else [given]
        root = given if given.is_dir() else given.parent
        for path in files:
            below = path.relative_to(root).as_posix()
            name = own.get(str(path.resolve())) or _counterpart(below, names)
            found[name] = str(path)
    return found


def _counterpart(path: str, names: set[str]) -> str:
    """Return the document that a path means: the one of that name, or the only one whose path ends in it.

    Raises:
        ConfigurationError: several documents end in it.
    """
    if path in names:
        return path
    ending = [each for each in names if each.endswith(f"/{path}")]
    if len(ending) > 1:
        several = ", ".join(sorted(ending))
        raise ConfigurationError(f"{path}: which document is it, {several}? Put the copy into a folder of that name")
    return ending[0] if ending else path


def _ask_as_released(plan: RunPlan) -> None:
    """Write the questions, wordings and fences of the current release as those of the run."""
    import pyarrow as pa

    from batch.stores.parquet import write_table
    from warehouse.analysis.connection import connect
    from warehouse.tables import ANSWER_WORDINGS, FENCES, QUESTIONS

    with closing(connect(plan.data)) as session:
        for name, schema in (("questions", QUESTIONS), ("wordings", ANSWER_WORDINGS), ("fences", FENCES)):
            found: pa.Table = session.sql(f"SELECT {', '.join(schema.names)} FROM {name}").to_arrow_table()
            write_table(f"{plan.folder('anticipate')}/{name}/{name}.parquet", found.cast(schema))


def _edit(plan: RunPlan, collection: str, named: set[str]) -> Edit:
    """Compare the documents with those of the release; rows of a table belong to their file."""
    from batch.stores.parquet import read_rows
    from rag.text.table_files import ROW_ENDINGS, ending
    from warehouse.analysis.connection import connect
    from warehouse.tables import DocumentRow

    with closing(connect(plan.data)) as session:
        rows = session.execute(
            "SELECT document_id, content_hash FROM documents WHERE collection = ?", [collection]
        ).fetchall()
    before = dict(rows)
    now = [row for row in read_rows(f"{plan.folder('prepare')}/documents", DocumentRow)
           if row["collection"] == collection]  # fmt: skip
    different = [row for row in now if before.get(row["document_id"]) != row["content_hash"]]
    gone = {each for each in before if each in named} - {row["document_id"] for row in now}
    tables = any(ending(name) in ROW_ENDINGS for name in named)
    mine = {row["document_id"] for row in different if _is_named(row, named, tables=tables)}
    return Edit(
        tuple(sorted(gone.union(each for each in mine if each in before))),
        tuple(sorted(each for each in mine if each not in before)),
        tuple(sorted(row["document_id"] for row in different if row["document_id"] not in mine)),
    )


def _is_named(row: DocumentRow, named: set[str], *, tables: bool) -> bool:
    """Whether a document is of a named file; of a row with an address of its own the file is not known."""
    file = row["uri"].partition("#")[0]
    return file in named or (tables and "://" in row["uri"])


# -- as text and JSON --------------------------------------------------------------------------------------


def described(edit: Edit, affected: Sequence[Affected]) -> Iterator[str]:
    """Yield what an edit changes, line by line."""
    changing = [each for each in affected if each.changes]
    again = [each for each in changing if each.generated_again]
    causes = Counter(each.cause(edit.edited) for each in changing)
    yield f"{_counted(len(edit.changed), 'document')} changed, {len(edit.new)} new to the release"
    if edit.others:
        yield f"  {len(edit.others)} others differ from the release too: {', '.join(edit.others[:3])}"
    yield f"{_counted(len(changing))} would change" + "".join(f", {n} {cause}" for cause, n in causes.most_common())
    yield f"{_counted(len(again))} would be generated again, about {sum(each.tokens for each in again):,} tokens"
    unchanged = sum(not each.changes for each in affected)
    if unchanged:
        yield f"{_counted(unchanged)} cite an edited document and keep their passages"
    people = [each for each in changing if each.rests_on_people]
    if people:
        yield f"\n{_counted(len(people))} of people rest on it and want a look:"
        yield from (f"  {each.decision or each.origin}: {each.question}" for each in people[:_SHOWN])
    if changing:
        yield "\nwould change:"
        yield from (f"  {_line(each, edit)}" for each in changing[:_SHOWN])
        if len(changing) > _SHOWN:
            yield f"  and {len(changing) - _SHOWN:,} more; --json lists them"


def _counted(count: int, what: str = "answer") -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _line(each: Affected, edit: Edit) -> str:
    documents = ", ".join(sorted({*each.lost, *each.gained, *each.cites})) or "the same in another order"
    return f"{each.question} ({each.cause(edit.edited)}: {documents})"


def as_data(edit: Edit, affected: Sequence[Affected]) -> dict[str, object]:
    """Return an impact as JSON has it."""
    changing = [each for each in affected if each.changes]
    again = [each for each in changing if each.generated_again]
    return {
        "documents": asdict(edit),
        "changing": len(changing),
        "generated_again": len(again),
        "tokens": sum(each.tokens for each in again),
        "answers": [
            {**asdict(each), "changes": each.changes, "cause": each.cause(edit.edited),
             "rests_on_people": each.rests_on_people}
            for each in affected
        ],
    }  # fmt: skip
