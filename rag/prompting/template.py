"""Builds the messages for the language model from a question and its passages.

A template is a text file with a `[system]` and a `[user]` part and the placeholders `{passages}` and `{question}`.
Passages come before the question, so that questions about the same passages share a prefix, which the server computes
once. Retrieved text is fenced in tags that it can't close: a tag inside it, or inside the question, is broken up.
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
    """A validated template. `id` is the hash of its text, and part of every fingerprint."""

    def __init__(self, text: str, source: str = "the default template") -> None:
        self.text = text
        self.id = template_id(text)
        self._parts = split_parts(text, source)
        for placeholder in ("{passages}", "{question}"):
            if text.count(placeholder) != 1:
                raise ConfigurationError(
                    f"{source}: must contain {placeholder} exactly once, found {text.count(placeholder)}"
                )

    @classmethod
    def load(cls, path: Path | None) -> PromptTemplate:
        """Load a template, or the default one for None.

        Raises:
            ConfigurationError: it is missing, not UTF-8, or lacks a part or a placeholder.
        """
        if path is None:
            return cls(own_template("answer"))
        try:
            return cls(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"[prompt] template = {str(path)!r}: can't be read ({error})") from error

    def messages(self, question: str, passages: Sequence[Passage]) -> list[Message]:
        """Fill the template with a question and its passages."""
        filling = {"passages": _shown(passages), "question": fenced(question)}
        return [
            Message(role, re.sub(r"\{(passages|question)\}", lambda match: filling[match[1]], self._parts[role]))
            for role in ("system", "user")
            if role in self._parts
        ]


@functools.cache
def own_template(name: str, package: str = "rag.prompting") -> str:
    """Read a template that ships in the `prompts` folder of a package."""
    return resources.files(package).joinpath(f"prompts/{name}.txt").read_text(encoding="utf-8")


def own_messages(template: str, placeholder: str, filling: str) -> list[Message]:
    """Fill a packaged template, in which `placeholder` is the only placeholder."""
    parts = split_parts(template, "a template of the package")
    return [Message(role, text.replace(placeholder, filling)) for role, text in parts.items()]


def split_parts(text: str, source: str) -> dict[str, str]:
    """Return the parts of a template: `system`, if it has one, then `user`.

    Raises:
        ConfigurationError: it has other parts, or text above the first.
    """
    before, *pieces = _PARTS.split(text)
    names = pieces[0::2]
    if before.strip() or names not in (["user"], ["system", "user"]):
        raise ConfigurationError(
            f"{source}: its parts are {names}{' after other text' if before.strip() else ''}; "
            "a template has one line [user] and may have one line [system] before, with nothing above them"
        )
    return dict(zip(names, (piece.strip("\n") for piece in pieces[1::2]), strict=True))


def grounding(passages: Sequence[Passage]) -> str:
    """Return the system message that grounds somebody else's chat in passages."""
    return own_template("ground").replace("{passages}", _shown(passages)).strip()


def _shown(passages: Sequence[Passage]) -> str:
    return "\n\n".join(_show(passage) for passage in passages) or "(no passage was found)"


def _show(passage: Passage) -> str:
    return f"<passage {passage.number}>\n{fenced(passage.text)}\n</passage {passage.number}>"


def quoted(chunk: StoredChunk) -> str:
    """Return a chunk below its titles, fenced."""
    title = f"{chunk.title} — {chunk.heading}" if chunk.heading else chunk.title
    return fenced(f"{title}\n{chunk.text}")


def fenced(text: str) -> str:
    """Break up anything that looks like a passage tag."""
    return _FENCE.sub("\u2039\\1", text)
