"""What the FAQ page shows of an answer, as data; the templates write the HTML and escape it.

A model's text is not trusted: `online.answering.safe_html` decides what of its Markdown becomes HTML.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Protocol

from markupsafe import Markup

from online.answering.safe_html import safe_html
from online.http.schemas import Answer, Citation
from rag.text.languages import is_right_to_left

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
# What would end a script element, or a line of it, is written as JSON's own escapes.
_SCRIPT_ENDS = re.compile("[<>&\u2028\u2029]")


def answer_html(answer: Answer, *, linked: bool = True) -> Markup:
    """Return the text of an answer; unless it is `linked`, its references are plain."""
    numbers = frozenset(each.number for each in answer.citations)
    return text_html(answer.answer, numbers, "source-" if linked else "")


@functools.lru_cache(maxsize=1024)  # the same few answers are on the pages that are opened most
def text_html(text: str, sources: frozenset[int], prefix: str) -> Markup:
    """Return a text as the page shows it; its references lead to the elements `<prefix><number>`."""
    return Markup(safe_html(text, sources, prefix))


def direction(language: str) -> str:
    """Return in which direction a page in a language is read."""
    return "rtl" if is_right_to_left(language) else "ltr"


def own(words: str, language: str) -> str:
    """Return words of the page itself, which are English, as part of a page in another language."""
    return words if language == "en" else Markup('<bdi lang="en" dir="ltr">{}</bdi>').format(words)


def badge(answer: Answer) -> str:
    """Return in a few words how an answer was made."""
    if answer.source == "live":
        return "Written live"
    by_origin = {"curated": "Written by the team", "edited": "Prepared, edited by the team"}
    return by_origin.get(answer.origin, "Prepared")


def declined_title(answer: Answer) -> str:
    """Return the title of what is told instead of an answer."""
    return "No reliable answer" if answer.source == "unreliable" else "Not answered here"


def age(seconds: int) -> str:
    """Return an age in words."""
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= unit:
            count = seconds // unit
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


class Sourced(Protocol):
    """A source of an answer, of a citation or of a review."""

    @property
    def url(self) -> str:
        """Where readers find it, or ""."""

    @property
    def uri(self) -> str:
        """Where it was read from, or ""."""

    @property
    def document_id(self) -> str:
        """The id of its document."""


def address(source: Sourced) -> str:
    """Return where a source is found: its link, else where it was read from."""
    return source.url or source.uri or source.document_id


def shown_metadata(source: Citation) -> list[str]:
    """Return the metadata that a citation shows, a field each."""
    return [f"{name}: {', '.join(values)}" for name, values in source.metadata.items()]


def is_web_address(uri: str) -> bool:
    """Whether a visitor can follow a document's address; others are shown as text."""
    return re.match(r"https?://[^\s/]", uri, re.IGNORECASE) is not None


def structured_data(answers: Sequence[Answer]) -> str:
    """Return schema.org's FAQPage as JSON-LD, safe inside a script element whatever an answer says."""
    questions = [
        {"@type": "Question", "name": each.question, "acceptedAnswer": {"@type": "Answer", "text": each.answer}}
        for each in answers
    ]
    page = {"@context": "https://schema.org", "@type": "FAQPage", "mainEntity": questions}
    return _SCRIPT_ENDS.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(page, ensure_ascii=False))
