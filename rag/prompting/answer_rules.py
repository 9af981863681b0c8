"""The rules that a generated answer must pass before anybody takes it for an answer, in a batch run and live alike.

The audit of a release and the service call the same `fault` with the same limits, so that a question gets no worse an
answer because nobody anticipated it. What a model thought aloud is no part of its answer: it is separated first.
Tags of reasoning directly after a backtick are quoted, as in an answer about them, and stay.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

REFUSALS = (
    "i do not know",
    "i don't know",
    "i'm not sure",
    "i am not sure",
    "i cannot answer",
    "i can't answer",
    "i'm sorry",
    "i am sorry",
    "as an ai",
    "as a language model",
    "do not hold the answer",
    "do not contain the answer",
    "does not contain the answer",
    "not mentioned in the passages",
)
IN_WORDS = {
    "empty": "empty",
    "tool_call": "only a tool call",
    "cut_off": "cut off",
    "refusal": "refusal",
    "uncited": "cites nothing",
    "unsupported": "not borne out by its passages",
}
"""What `fault` returns, as the tables of a release put it."""

_NAMES = r"(?:(?:[a-z]{1,10}[:_])?think|thinking|thoughts?|reasoning|reflection|scratchpad)"
_OPENING = re.compile(rf"(?<!`)(?:<\s?{_NAMES}(?:\s[\w\s=:\"'.-]{{0,40}})?>|\[THINK\]|◁think▷)", re.IGNORECASE)
_CLOSING = re.compile(rf"(?<!`)(?:<\s?/\s?{_NAMES}\s?>|\[/THINK\]|◁/think▷)", re.IGNORECASE)
_TAG = re.compile(f"{_OPENING.pattern}|{_CLOSING.pattern}", re.IGNORECASE)
_LONGEST_TAG = 70
_HALF_TAG = re.compile(rf"(?:<[\w\s/=:\"'.-]{{0,{_LONGEST_TAG}}}|[\[◁][\w/]{{0,11}})\Z")
_TOOL_CALL = re.compile(r"<(tool_call|function_call)>.*?(?:</\1>|\Z)|<\|tool_call\|>.*|\[TOOL_CALLS\].*", re.DOTALL)
_BARE_CALL = re.compile(
    r'\A\s*\{\s*"name"\s*:\s*"[^"]*"\s*,\s*"(?:arguments|parameters)"\s*:\s*\{.*\}\s*\}\s*\Z', re.DOTALL
)
_FIRST_SENTENCE = re.compile(r"[^.!?\n]*")
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class AnswerRules:
    """The limits, from the settings of the audit. `refusals` are phrases in lower case."""

    withhold_truncated: bool = True
    least_support: float = 0.3
    require_citation: bool = False
    refusals: tuple[str, ...] = REFUSALS


def fault(
    answer: str, *, finish_reason: str | None, support: float | None, cited: int, consulted: int, rules: AnswerRules
) -> str | None:
    """Return what is wrong with a generated answer, as a key of `IN_WORDS`, or None.

    `answer` is without reasoning, with its references resolved; `cited` and `consulted` count its sources.
    """
    refused = finish_reason == "content_filter" or _refuses(answer, rules.refusals)
    verdicts = (
        ("tool_call", is_tool_call(answer, finish_reason)),
        ("empty", not says_something(answer)),
        ("cut_off", finish_reason == "length" and rules.withhold_truncated),
        ("refusal", refused),
        ("uncited", not cited and (rules.require_citation or not consulted)),
        ("unsupported", support is not None and support < rules.least_support),
    )
    return next((name for name, broken in verdicts if broken), None)


def says_something(answer: str) -> bool:
    """Whether an answer has a letter or a digit."""
    return _WORD.search(answer) is not None


def is_tool_call(answer: str, finish_reason: str | None) -> bool:
    """Whether an answer is nothing but a call of a tool: the server says so, or it is written as text."""
    if not says_something(answer):
        return finish_reason in {"tool_calls", "function_call"}
    return _BARE_CALL.match(answer) is not None or not says_something(_TOOL_CALL.sub("", answer))


def _refuses(answer: str, phrases: tuple[str, ...]) -> bool:
    first = _FIRST_SENTENCE.match(answer.lstrip())
    return bool(phrases) and first is not None and _any_of(phrases).search(_plain(first[0])) is not None


@functools.lru_cache(maxsize=16)
def _any_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(re.escape(_plain(phrase)) for phrase in phrases)})\b")


def _plain(text: str) -> str:
    return text.casefold().replace("\u2019", "'")


def without_reasoning(text: str) -> tuple[str, str | None]:
    """Return a text without what the model thought aloud, and the reasoning, if there is any.

    Reasoning that is never closed runs to the end; where only its end is marked, it runs from the beginning.
    """
    stream = VisibleText()
    shown = stream.feed(text) + stream.finish()
    return (shown.strip(), stream.reasoning) if stream.reasoning is not None else (text, None)


class VisibleText:
    """Separates reasoning from a text that arrives in pieces; each piece is read once.

    Text before an end of reasoning that had no beginning was shown already; `text` is what counts.
    """

    def __init__(self) -> None:
        self._held = ""
        self._before = ""
        self._depth = 0
        self._shown: list[str] = []
        self._thought: list[str] = []

    @property
    def text(self) -> str:
        """The visible text so far."""
        return "".join(self._shown)

    @property
    def reasoning(self) -> str | None:
        """What the model thought aloud so far, or None."""
        return "".join(self._thought).strip() if self._thought else None

    def feed(self, piece: str) -> str:
        """Take a piece; return what can be shown now."""
        text = self._held + piece
        half = _HALF_TAG.search(text, max(0, len(text) - _LONGEST_TAG - 1))
        self._held = "" if half is None else text[half.start() :]
        return self._take(text[: len(text) - len(self._held)])

    def finish(self) -> str:
        """Return what was held back."""
        held, self._held = self._held, ""
        return self._take(held)

    def _take(self, text: str) -> str:
        # the character before decides whether a tag is quoted
        text, start = self._before + text, len(self._before)
        self._before = text[-1:]
        new: list[str] = []
        for tag in _TAG.finditer(text, start):
            new.append(self._say(text[start : tag.start()]))
            start = tag.end()
            if _OPENING.match(text, tag.start()):
                self._thought.append("")
                self._depth += 1
            elif self._depth:
                self._depth -= 1
            else:  # the prompt began the reasoning: all of it was
                self._thought += self._shown or [""]
                self._shown.clear()
                new.clear()
        return "".join([*new, self._say(text[start:])])

    def _say(self, text: str) -> str:
        (self._thought if self._depth else self._shown).append(text)
        return "" if self._depth else text
