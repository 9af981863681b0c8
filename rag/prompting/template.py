"""From a question and its passages to the messages for the language model.

The template is a text file with a `[system]` and a `[user]` part and two places, `{passages}` and
`{question}`. The passages come before the question, so that questions about the same passages share a
prefix, which the model's server computes once. Retrieved text is fenced between marks that it can't close:
a mark inside it, or inside the question, is broken up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from rag.errors import ConfigurationError
from rag.identity import template_id
from rag.llm.protocol import Message
from rag.retrieval.passages import Passage, StoredChunk

_PARTS = re.compile(r"^\[(system|user)\]\n", re.MULTILINE)
_FENCE = re.compile(r"<(\s*/?\s*passage)", re.IGNORECASE)


class PromptTemplate:
    """A checked template. `id` names its text and is part of every fingerprint."""

    def __init__(self, text: str, source: str = "the default template") -> None:
        self.text = text
        self.id = template_id(text)
        self._parts = split_parts(text, source)
        for place in ("{passages}", "{question}"):
            if text.count(place) != 1:
                raise ConfigurationError(f"{source}: {place} must stand in it exactly once, found {text.count(place)}")

    @classmethod
    def load(cls, path: Path | None) -> PromptTemplate:
        """Read a template, or the default for None.

        Raises:
            ConfigurationError: it is missing, not UTF-8, or lacks a part or a place.
        """
        if path is None:
            return cls(own_template("answer"))
        try:
            return cls(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"[prompt] template = {str(path)!r}: can't be read ({error})") from error

    def messages(self, question: str, passages: Sequence[Passage]) -> list[Message]:
        """Fill the template."""
        shown = "\n\n".join(_show(passage) for passage in passages) or "(no passage was found)"
        filling = {"passages": shown, "question": fenced(question)}
        return [
            Message(role, re.sub(r"\{(passages|question)\}", lambda place: filling[place[1]], self._parts[role]))
            for role in ("system", "user")
            if role in self._parts
        ]


@functools.cache
def own_template(name: str, package: str = "rag.prompting") -> str:
    """Read a template that ships in the `prompts` folder of a package."""
    return resources.files(package).joinpath(f"prompts/{name}.txt").read_text(encoding="utf-8")


def own_messages(template: str, place: str, filling: str) -> list[Message]:
    """Fill a template of ours that has a single placeholder, `place`."""
    parts = split_parts(template, "a template of the package")
    return [Message(role, text.replace(place, filling)) for role, text in parts.items()]


def split_parts(text: str, source: str) -> dict[str, str]:
    """Return the parts of a template, `system` (if it has one) before `user`.

    Raises:
        ConfigurationError: there are others, or text above them.
    """
    before, *pieces = _PARTS.split(text)
    names = pieces[0::2]
    if before.strip() or names not in (["user"], ["system", "user"]):
        raise ConfigurationError(
            f"{source}: its parts are {names}{' after other text' if before.strip() else ''}; "
            "a template has one line [user] and may have one line [system] before, with nothing above them"
        )
    return dict(zip(names, (piece.strip("\n") for piece in pieces[1::2]), strict=True))


def _show(passage: Passage) -> str:
    return f"<passage {passage.number}>\n{quoted(passage.chunk)}\n</passage {passage.number}>"


def quoted(chunk: StoredChunk) -> str:
    """Return a chunk under its titles, with nothing in it that could close a fence."""
    title = f"{chunk.title} — {chunk.heading}" if chunk.heading else chunk.title
    return fenced(f"{title}\n{chunk.text}")


def fenced(text: str) -> str:
    """Break up what looks like a mark of the fence around passages."""
    return _FENCE.sub("\u2039\\1", text)
