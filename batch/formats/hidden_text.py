"""Text that is in a file and not on the page: invisible characters, and elements that a style hides.

Nobody writes for readers in ways that no reader sees, so such text is left out, counted and told: it may have been
planted for a language model. Joiners stay where scripts need them (Arabic, Indic, emoji).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from batch.formats.outline import LONGEST_SAMPLE, Hidden

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}"  # one varies a character, several spell something
    "|(?<=[\\x00-\u024f])[\u200c\u200d]|[\u200c\u200d](?=[\\x00-\u024f])"
)
_HIDING_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0*\.?0+(?![\d.])"
    r"|font-size\s*:\s*(?:0*\.?0+|1)(?:px|pt|em|rem|%)?\s*(?:[;!]|$)"
    r"|(?<![-\w])color\s*:\s*transparent|(?:text-indent|left|right|top)\s*:\s*-\d{3,}"
    r"|(?<![-\w])(?:max-)?(?:height|width)\s*:\s*0(?:px|em|rem|%)?\s*(?:[;!]|$)|transform\s*:\s*scale\(0\)"
    r"|clip\s*:\s*rect\(\s*0|clip-path\s*:\s*inset\((?:50|100)%",
    re.IGNORECASE,
)
_RULE = re.compile(r"([^{}]{1,300})\{([^{}]*)\}")
_SELECTOR = re.compile(r"^[a-z]*([.#][\w-]+)$", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def without_invisible(text: str) -> tuple[str, Hidden]:
    """Return a text without characters that no reader sees, and how many they were."""
    if text.isascii():
        return text, Hidden()
    shown, runs = _INVISIBLE.subn("", text)
    return (shown, Hidden(invisible=len(text) - len(shown))) if runs else (text, Hidden())


def hidden_passage(text: str) -> Hidden:
    """Return what a hidden element is counted as; an icon's name or a lone mark is none."""
    words = " ".join(text.split())
    return Hidden(len(words), 0, words[:LONGEST_SAMPLE]) if " " in words or len(words) > 20 else Hidden()


def is_hidden(attributes: Mapping[str, str | None], rules: frozenset[str] = frozenset()) -> bool:
    """Whether an element is hidden by its attributes, or by one of the style sheet's `rules` (".x", "#y").

    The panels of tabs are hidden until somebody clicks: they count as shown.
    """
    if attributes.get("role") == "tabpanel" or attributes.get("hidden") == "until-found":
        return False
    if "hidden" in attributes or (attributes.get("aria-hidden") or "").lower() == "true":
        return True
    if _HIDING_STYLE.search(attributes.get("style") or ""):
        return True
    if not rules:
        return False
    names = {f".{name}" for name in (attributes.get("class") or "").split()}
    return bool(rules & (names | {f"#{attributes.get('id')}"}))


def hiding_rules(css: str) -> frozenset[str]:
    """Return the single classes and ids that a style sheet hides."""
    found = set()
    for selectors, body in _RULE.findall(_COMMENT.sub("", css)):
        if _HIDING_STYLE.search(body):
            found |= {match.group(1) for each in selectors.split(",") if (match := _SELECTOR.match(each.strip()))}
    return frozenset(found)
