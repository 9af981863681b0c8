"""What is wrong with a collection before a token is spent on it, and what is in it.

Pure: a corpus in, findings out. Nothing here is an error; each figure comes with a few examples to look at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from batch.corpus_check.chunk_faults import SHORT, template_code, torn_tables
from batch.corpus_check.corpus import Corpus, ReadFile
from batch.corpus_check.encoder_fit import EncoderFit, fit_warnings
from batch.corpus_check.near_duplicates import character_shingles, near_duplicates, word_shingles
from batch.corpus_check.scripts import foreign_words, letters_by_script, shares, warnings
from batch.questions.question_files import CuratedPair, Question
from batch.questions.wordings import Asked, Wording, is_over
from batch.reading.chunking import Chunk
from rag.identity import normalise
from rag.paraphrase.alignment import align
from rag.paraphrase.guards import objection
from rag.paraphrase.question_parser import parse
from rag.text.table_files import ending

_EXAMPLES = 5
_SAMPLE = 20
_MOST_READ = 2000  # chunks, to tell their language
_LONGEST_EXCERPT = 100  # characters


@dataclass(frozen=True)
class Finding:
    """How many documents or chunks something is true of, and the first of them."""

    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Texts that are nearly the same: how many, and the first of them."""

    size: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Duplicates:
    """Groups of near-duplicates, the largest as examples.

    Merging each group into one text saves `superfluous` texts, and so many tokens at most.
    """

    groups: int
    superfluous: int
    tokens: int
    examples: tuple[Group, ...]


@dataclass(frozen=True)
class Ending:
    """The files of one ending that are read, what came from them, and how many gave nothing."""

    ending: str
    files: int
    documents: int
    unread: int


@dataclass(frozen=True)
class Loss:
    """A file of which something is not read: how many items are, how many are not, and why the first is not."""

    file: str
    read: int
    lost: int
    reason: str


@dataclass(frozen=True)
class SampleChunk:
    """A chunk to look at."""

    document: str
    title: str
    heading: str
    text: str
    tokens: int


@dataclass(frozen=True)
class Findings:
    """What the check of a collection found."""

    collection: str
    documents: int
    chunks: int
    tokens: int
    questions: int
    curated: int
    wordings: int
    endings: tuple[Ending, ...]
    skipped: Mapping[str, int]
    excluded: Mapping[str, int]
    losses: tuple[Loss, ...]
    titles_from_file_names: Finding
    chunks_without_heading: Finding
    chunks_of_template_code: Finding
    short_chunks: Finding
    torn_tables: Finding
    hidden_text: Finding
    includes: Finding
    near_duplicate_documents: Duplicates
    near_duplicate_chunks: Duplicates
    near_duplicate_questions: Duplicates
    scripts: Mapping[str, float]
    warnings: tuple[str, ...]
    sample: tuple[SampleChunk, ...]


@dataclass(frozen=True)
class Expected:
    """What the configuration expects of a corpus; `tokens_an_answer` is what one costs at most, prompt included."""

    encoder: str
    known_scripts: frozenset[str]
    language: str
    tokens_an_answer: int
    fit: EncoderFit | None = None


def check(corpus: Corpus, expected: Expected) -> Findings:
    """Return what there is to say about a collection."""
    chunks = [each for read in corpus.documents for each in read.chunks]
    titles = {read.document.document_id: read.document.title for read in corpus.documents}
    letters = letters_by_script(read.document.text for read in corpus.documents)
    torn = [each for read in corpus.documents for each in torn_tables(read.document.sections, read.chunks)]
    code = [(each, found) for each in chunks if (found := template_code(each.text))]
    hidden = [read.document for read in corpus.documents if read.document.hidden]
    return Findings(
        collection=corpus.collection,
        documents=len(corpus.documents),
        chunks=len(chunks),
        tokens=sum(each.tokens for each in chunks),
        questions=len(corpus.questions),
        curated=sum(isinstance(each, CuratedPair) and not is_over(each) for each in corpus.questions),
        wordings=len(corpus.wordings),
        endings=_endings(corpus.files),
        skipped=corpus.skipped,
        excluded=corpus.excluded,
        losses=_losses(corpus),
        titles_from_file_names=_finding(
            f"{each.document_id}: {each.title}"
            for each in (read.document for read in corpus.documents)
            if each.titled_by_name
        ),
        chunks_without_heading=_finding(_excerpt(each) for each in chunks if not each.heading),
        chunks_of_template_code=_finding(f"{each.document_id}: {found}" for each, found in code),
        short_chunks=_finding(_excerpt(each) for each in chunks if len(each.text.strip()) < SHORT),
        torn_tables=_finding(map(_excerpt, torn)),
        hidden_text=_finding(f"{each.document_id}: {each.hidden.describe()}" for each in hidden),
        includes=_finding(
            f"{each.document_id}: {each.included}"
            for each in (read.document for read in corpus.documents)
            if each.included
        ),
        near_duplicate_documents=_duplicate_documents(corpus),
        near_duplicate_chunks=_duplicate_chunks(chunks),
        near_duplicate_questions=_duplicate_questions(corpus, expected.tokens_an_answer),
        scripts=shares(letters),
        warnings=(
            *misfits(letters, expected),
            *foreign_words([each.text for each in chunks[:_MOST_READ]], expected.language),
            *_expired(corpus.questions),
            *(f'exclude = "{pattern}" matches no file' for pattern, count in corpus.excluded.items() if not count),
        ),
        sample=tuple(
            SampleChunk(each.document_id, titles[each.document_id], each.heading, each.text, each.tokens)
            for each in sorted(chunks, key=lambda each: each.chunk_id)[
                :_SAMPLE
            ]  # hashes: at random, and the same again
        ),
    )


def misfits(letters: Mapping[str, int], expected: Expected) -> list[str]:
    """Return a sentence for each way in which encoder or language don't fit a corpus of so many letters by script."""
    found = warnings(letters, expected.encoder, expected.known_scripts, expected.language)
    if any("the encoder" in each for each in found) or expected.fit is None:
        return found
    return [*fit_warnings(expected.fit, expected.encoder), *found]


def _expired(questions: Iterable[Asked]) -> list[str]:
    over = [each for each in questions if is_over(each)]
    more = f" and {len(over) - 1:,} more" if len(over) > 1 else ""
    what = "the curated answer is not served; the language model, where there is one, answers the question in its place"
    return [f"the valid_until of {over[0].question!r}{more} is over: {what}"] if over else []


# -- files -------------------------------------------------------------------------------------------------


def _endings(files: Iterable[ReadFile]) -> tuple[Ending, ...]:
    count: Counter[str] = Counter()
    documents: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    for file in files:
        if not file.of_questions:
            kind = ending(file.name)
            count[kind] += 1
            documents[kind] += file.read
            unread[kind] += not file.read
    return tuple(Ending(kind, number, documents[kind], unread[kind]) for kind, number in count.most_common())


def _losses(corpus: Corpus) -> tuple[Loss, ...]:
    """Return the files that lost most, first."""
    lost = [
        Loss(each.name, each.read, len(each.rejects), each.rejects[0].reason) for each in corpus.files if each.rejects
    ]
    unusable = [Loss(each.item, 0, 1, each.reason) for each in corpus.unusable]
    return tuple(sorted((*lost, *unusable), key=lambda each: (-each.lost, each.file)))


def _finding(found: Iterable[str]) -> Finding:
    every = list(found)
    return Finding(len(every), tuple(every[:_EXAMPLES]))


def _excerpt(chunk: Chunk) -> str:
    text = " ".join(chunk.text.split())
    return f"{chunk.document_id}: {text if len(text) <= _LONGEST_EXCERPT else text[: _LONGEST_EXCERPT - 1] + '…'}"


# -- near-duplicates ---------------------------------------------------------------------------------------


def _duplicate_documents(corpus: Corpus) -> Duplicates:
    documents = corpus.documents
    groups = near_duplicates([word_shingles(each.document.text) for each in documents])
    names = [each.document.document_id for each in documents]
    return _duplicates(groups, names, [sum(part.tokens for part in each.chunks) for each in documents])


def _duplicate_chunks(chunks: Sequence[Chunk]) -> Duplicates:
    groups = near_duplicates([word_shingles(each.text) for each in chunks])
    return _duplicates(groups, [_excerpt(each) for each in chunks], [each.tokens for each in chunks])


def _duplicate_questions(corpus: Corpus, tokens: int) -> Duplicates:
    """Group questions and wordings of different answers that are written alike and that no guard keeps apart.

    A curated answer and a further wording cost no tokens.
    """
    asked: list[Asked | Wording] = [*corpus.questions, *corpus.wordings]
    apart = {(each.answer_key, each.text_key) for each in corpus.fences}
    answers = [each.answer_key if isinstance(each, Wording) else each.query_key for each in asked]
    parsed = [parse(each.question) for each in asked]

    def ask_the_same(one: int, other: int) -> bool:
        first, second = parsed[one], parsed[other]
        if asked[one].filters != asked[other].filters or answers[one] == answers[other]:
            return False
        if (answers[one], asked[other].query_key) in apart or (answers[other], asked[one].query_key) in apart:
            return False
        return objection(first, second, align(first, second), similarity=0.0) is None  # no vectors: the guards decide

    shingles = [character_shingles(normalise(each.question)) for each in asked]
    groups = near_duplicates(shingles, least=0.6, may_merge=ask_the_same)
    costs = [tokens if isinstance(each, Question) else 0 for each in asked]
    return _duplicates(groups, [each.question for each in asked], costs)


def _duplicates(groups: Sequence[Sequence[int]], names: Sequence[str], tokens: Sequence[int]) -> Duplicates:
    saved = [number for group in groups for number in group[1:]]
    examples = tuple(
        Group(len(group), tuple(names[number] for number in group[:_EXAMPLES])) for group in groups[:_EXAMPLES]
    )
    return Duplicates(len(groups), len(saved), sum(tokens[number] for number in saved), examples)
