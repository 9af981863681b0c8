"""The command `check`: reads documents and questions as a run would, and says what is worth a look.

It needs the encoder's tokenizer, and neither Prefect nor a language model. Nothing is written, and nothing that it
finds is an error: the exit code is 0 unless the configuration can't be used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from beforehand.configuration import Config, Settings, read_settings, reported
from rag.errors import ConfigurationError

if TYPE_CHECKING:
    from batch.corpus_check.check import Duplicates, Finding, Findings
    from warehouse.editorial.twins import Twin

_MOST_FILES = 10  # in the text; the JSON has all


@click.command()
@click.option("--collection", help="Check this collection only.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
@reported
def check(config: Config, collection: str | None, as_json: bool) -> None:
    """Say what is read, skipped and doubtful in the documents and questions, before a token is spent."""
    from batch.reading.personal_data import finder

    settings = read_settings(config)
    finder(settings.batch.pii_model)
    found = [check_collection(settings, name) for name in _chosen(settings, collection)]
    alike = same_answers(settings)
    if as_json:
        shown = [
            {**asdict(each), "same_answers": [asdict(twin) for twin in alike if twin.collection == each.collection]}
            for each in found
        ]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        texts = [[*described(each), *_same_answers(alike, each.collection)] for each in found]
        click.echo("\n\n".join("\n".join(lines) for lines in texts))


def same_answers(settings: Settings) -> list[Twin]:
    """Return the questions that have the answer of another in the current release, unless a person ruled on the two."""
    from contextlib import closing

    from warehouse.analysis.connection import connect
    from warehouse.editorial.twins import twins, undecided
    from warehouse.editorial.wordings import standing_rulings
    from warehouse.errors import NoReleaseError

    data = settings.project.data
    try:
        with closing(connect(data, described=False)) as session:
            return undecided(twins(session), standing_rulings(data))
    except NoReleaseError:
        return []


def _same_answers(alike: list[Twin], collection: str) -> Iterator[str]:
    mine = [each for each in alike if each.collection == collection]
    if mine:
        yield f"{_counted(len(mine), 'question')} with the answer of another in the current release"
        yield from (f"  {each.question!r} has {each.how} as {each.kept_question!r}" for each in mine[:_MOST_FILES])
        yield "  `beforehand review join KEPT OTHER --reviewer NAME` makes OTHER a wording of KEPT"


def _chosen(settings: Settings, collection: str | None) -> list[str]:
    if not settings.collections:
        raise ConfigurationError("the configuration has no [collections.NAME]; name the documents and questions there")
    if collection is None:
        return list(settings.collections)
    if collection not in settings.collections:
        raise ConfigurationError(f"--collection {collection}: unknown; known are {', '.join(settings.collections)}")
    return [collection]


def check_collection(settings: Settings, name: str) -> Findings:
    """Read a collection and return what there is to say about it.

    Raises:
        ConfigurationError: an address can't be read or reached.
        ModelError: the encoder is missing or torn.
    """
    from batch.corpus_check.check import Expected
    from batch.corpus_check.check import check as check_corpus
    from batch.corpus_check.corpus_reader import read_corpus
    from batch.corpus_check.encoder_fit import encoder_fit
    from batch.corpus_check.scripts import scripts_of_encoder
    from beforehand.model_names import find_model
    from rag.retrieval.embedding import TokenCounter
    from warehouse.editorial.wordings import standing_rulings

    encoder = find_model(settings, "[encoder] model", settings.encoder.model, "encoder").path
    tokenizer = TokenCounter(encoder)
    rulings = standing_rulings(settings.project.data)
    corpus = read_corpus(name, settings.collections[name], settings.batch, settings.chunking, tokenizer, rulings)
    expected = Expected(
        encoder=settings.encoder.model,
        known_scripts=scripts_of_encoder(encoder),
        language=settings.collections[name].language or settings.retrieval.language,
        tokens_an_answer=settings.retrieval.passage_tokens + settings.sampling.max_tokens,
        fit=encoder_fit((each.document.text for each in corpus.documents), tokenizer),
    )
    return check_corpus(corpus, expected)


# -- as text -----------------------------------------------------------------------------------------------


def described(found: Findings) -> Iterator[str]:
    """Yield what was found, line by line: first what is there, then what is doubtful, then chunks to look at."""
    yield f"collection {found.collection}"
    yield _row(
        "read",
        f"{_counted(found.documents, 'document')}, {_counted(found.chunks, 'chunk')} of {found.tokens:,} tokens in all",
    )
    yield _row("", _asked(found))
    for each in found.endings:
        unread = f", nothing from {_counted(each.unread, 'file')}" if each.unread else ""
        kind = each.ending or "no ending"
        yield _row("", f"{kind:<9} {_counted(each.files, 'file'):>11}, {_counted(each.documents, 'document')}{unread}")
    for kind, count in found.skipped.items():
        yield _row("skipped", f"{kind or 'no ending':<9} {_counted(count, 'file'):>11}, not read")
    for pattern, count in found.excluded.items():
        yield _row("excluded", f"{pattern}: {_counted(count, 'file')}")
    yield from _scripts(found)
    yield from _losses(found)
    yield from _finding("hidden text", found.hidden_text, found.documents, "documents")
    yield from _finding("includes", found.includes, found.documents, "documents bring in files")
    yield from _finding(
        "titles", found.titles_from_file_names, found.documents, "documents are titled by their file names"
    )
    yield from _finding(
        "headings",
        found.chunks_without_heading,
        found.chunks,
        "chunks stand under no heading but the title",
        examples=2,
    )
    yield from _finding("templates", found.chunks_of_template_code, found.chunks, "chunks hold template code")
    yield from _finding("short", found.short_chunks, found.chunks, "chunks have less than 20 characters")
    yield from _finding("tables", found.torn_tables, found.chunks, "chunks hold a part of a table without its header")
    yield from _duplicates("document", found.near_duplicate_documents, "tokens to embed and to search")
    yield from _duplicates("chunk", found.near_duplicate_chunks, "tokens to embed and to search")
    yield from _duplicates("question", found.near_duplicate_questions, "tokens to generate with")
    yield f"{_counted(len(found.sample), 'chunk')} to look at"
    for number, chunk in enumerate(found.sample, start=1):
        place = " › ".join(filter(None, (chunk.title, chunk.heading)))  # noqa: RUF001 - as headings are joined
        yield f"  {number}. {chunk.document}: {place} ({chunk.tokens} tokens)"
        yield from (f"     {line}" for line in chunk.text.split("\n"))


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _asked(found: Findings) -> str:
    parts = [_counted(found.questions, "anticipated question")]
    if found.curated:
        parts.append(f"{found.curated:,} of them with a curated answer")
    if found.wordings:
        parts.append(f"{_counted(found.wordings, 'further wording')} of them")
    return ", ".join(parts)


def _row(label: str, text: str) -> str:
    return f"  {label:<12} {text}".rstrip()


def _scripts(found: Findings) -> Iterator[str]:
    if found.scripts:
        shares = ", ".join(f"{script} {share:.1%}" for script, share in found.scripts.items())
        yield _row("scripts", shares)
    for sentence in found.warnings:
        yield _row("warning", sentence)


def _losses(found: Findings) -> Iterator[str]:
    for each in found.losses[:_MOST_FILES]:
        what = f"{each.lost:,} lost, {each.read:,} read" if each.lost > 1 or each.read else "not read"
        yield _row("lost", f"{each.file}: {what} ({each.reason})")
    if len(found.losses) > _MOST_FILES:
        yield _row("", f"and {len(found.losses) - _MOST_FILES:,} more files; --json lists them")


def _finding(label: str, found: Finding, whole: int, what: str, examples: int = 5) -> Iterator[str]:
    if found.count:
        yield _row(label, f"{found.count:,} of {whole:,} {what} ({found.count / whole:.1%})")
        yield from (_row("", f"- {each}") for each in found.examples[:examples])


def _duplicates(what: str, found: Duplicates, tokens: str) -> Iterator[str]:
    if not found.groups:
        return
    saved = f"merging them saves {_counted(found.superfluous, what)}"
    saved += f", up to {found.tokens:,} {tokens}" if found.tokens else ""
    yield _row("alike", f"{_counted(found.groups, 'group')} of near-duplicate {what}s; {saved}")
    for group in found.examples:
        yield _row("", f"- {group.examples[0]}")
        yield from (_row("", f"  = {each}") for each in group.examples[1:])
        if group.size > len(group.examples):
            yield _row("", f"  and {group.size - len(group.examples):,} more")
    if what == "question":
        yield _row(
            "", "`beforehand review join KEPT OTHER --reviewer NAME` makes OTHER a wording of KEPT, once released"
        )
