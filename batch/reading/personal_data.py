"""Finds what is personal in visitors' questions: names, addresses, numbers and links.

The rules are coarse and err on the side of finding: a question in which something is found is only answered live, which
costs little. What the team's own documents say is no secret, so a finding whose words all stand there is dropped
(`is_public`). Names that are written in small letters have no shape; for those there is Presidio, with a spaCy model of
the operator's choice.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from rag.errors import ConfigurationError, QuestionError
from warehouse.history.redaction import redact

_WORD = re.compile(r"\w+")
_LINK = re.compile(r"(?:https?://|www\.)\S+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b(?:/\S*)?", re.IGNORECASE)
_NUMBER = re.compile(r"\b[A-Z]{0,4}\d(?:[ ./-]?[A-Z]{0,2}\d){4,}\b", re.IGNORECASE)
_HANDLE = re.compile(r"(?<!\w)@\w+")
_STREET = r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|close|court|square|boulevard|blvd|way|terrace|place|crescent)"
_ADDRESS = re.compile(
    rf"\b\d+[a-z]?,?\s+(?:[^\W\d]+\s+){{1,3}}{_STREET}\b"
    r"|\b[^\W\d]*(?:straße|strasse|str\.|gasse|platz|allee|weg)\s+\d+[a-z]?\b"
    r"|\b(?:rue|via|calle|avenida|piazza|plaza)\s+(?:[^\W\d]+\s+){0,4}\d+\b",
    re.IGNORECASE,
)
_CAPITALISED = re.compile(r"[^\W\d_][\w'-]*")
# Words that begin a question, and "I": their capital letter says nothing.
_OPENINGS = frozenset(
    """a about after am an and any are as at because before but by can could did do does for from had has have hello hey
    hi how i i'd i'll i'm i've if in is isn't it its may might must my need of on or our please shall should so tell
    thanks that the their there these they this to was we were what what's when where where's which while who who's
    whom whose why will with without won't would yes you your""".split()
)


@dataclass(frozen=True)
class Finding:
    """Something personal in a question, and what kind of thing it is."""

    kind: str
    text: str


Finder = Callable[[str], list[Finding]]


def find_by_rules(question: str) -> list[Finding]:
    """Return what the rules find; the masks of the journal are among them."""
    found = [Finding("link", match[0]) for match in _LINK.finditer(question)]
    found += [Finding("handle", match[0]) for match in _HANDLE.finditer(question)]
    found += [Finding("address", match[0]) for match in _ADDRESS.finditer(question)]
    found += [Finding("number", match[0]) for match in _NUMBER.finditer(question)]
    if redact(question) != question or re.search(r"\[(?:e-mail|card|phone)\]", question):
        found.append(Finding("number or e-mail address", question))
    return found + list(_names(question))


def _names(question: str) -> Iterator[Finding]:
    """Yield each capitalised word that is no common opening; most of them are names."""
    for match in _CAPITALISED.finditer(question.replace("\u2019", "'")):
        word = match[0]
        if word[0].isupper() and word.casefold() not in _OPENINGS:
            yield Finding("name", word.removesuffix("'s"))


def words_of(findings: Collection[Finding]) -> set[str]:
    """Return the words of findings, without regard to capitals."""
    return {word for each in findings for word in words_in(each.text)}


def words_in(text: str) -> list[str]:
    """Return the words of a text, without regard to capitals."""
    return _WORD.findall(text.casefold())


def is_public(finding: Finding, public_words: Collection[str]) -> bool:
    """Whether all words of a finding stand in the team's own texts."""
    return all(word in public_words for word in words_in(finding.text))


def refuse_personal(findings: Collection[Finding]) -> None:
    """Raise if anything was found.

    Raises:
        QuestionError: the message says what kind of thing, but not what.
    """
    if findings:
        kinds = ", ".join(sorted({each.kind for each in findings}))
        raise QuestionError(f"it seems to hold something personal ({kinds}); it is only answered live")


def finder(model: str | None) -> Finder:
    """Return what looks for personal data: the rules, and with a spaCy model Presidio beside them.

    Raises:
        ConfigurationError: Presidio or the model is not installed.
    """
    if model is None:
        return find_by_rules
    presidio = _presidio(model)
    return lambda question: find_by_rules(question) + presidio(question)


_HARMLESS = {"DATE_TIME", "NRP"}  # times, and words like "German" or "Catholic"
_LEAST_SCORE = 0.35


@functools.cache  # a plan tries the model, and a stage of the run looks with it
def _presidio(model: str) -> Finder:
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError as error:
        raise ConfigurationError(
            f'[batch] pii_model = "{model}": Presidio is not installed ({error.name}); pip install "beforehand[pii]"'
        ) from error
    try:
        language = spacy.load(model)  # never downloads, unlike Presidio's own way of naming a model
    except OSError as error:
        raise ConfigurationError(
            f'[batch] pii_model = "{model}": spaCy has no such model installed, and no folder has this name'
        ) from error
    engine = SpacyNlpEngine()
    engine.nlp = {language.lang: language}
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=[language.lang])

    def find(question: str) -> list[Finding]:
        results = analyzer.analyze(question, language=language.lang, score_threshold=_LEAST_SCORE)
        return [
            Finding(each.entity_type.lower().replace("_", " "), question[each.start : each.end])
            for each in results
            if each.entity_type not in _HARMLESS
        ]

    return find
