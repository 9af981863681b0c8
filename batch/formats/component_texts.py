"""What a page shows of the attributes of a component or a shortcode: titles and labels, and data that it is given."""

from __future__ import annotations

import re

_PARAMETER = re.compile(r"([\w:-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|\{\s*[\"'`]([^\"'`{}]*)[\"'`]\s*\})")
_DATA = re.compile(
    r"\b(name|type|title|label|summary|question|answer|description|text|content)\s*:\s*"
    r"(?:\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'|`([^`$]*)`)"
)


def shown_texts(attributes: str, names: tuple[str, ...]) -> str:
    """Return the texts of those attributes that a page shows."""
    found = {name: two or one or braces for name, two, one, braces in _PARAMETER.findall(attributes)}
    texts = [found[name].replace('\\"', '"') for name in names if found.get(name)]
    return " ".join(" ".join(dict.fromkeys(texts)).split())


def listed_data(tag: str) -> str:
    """Return the texts among the data that a component is given, a line an entry."""
    entries: list[list[str]] = []
    seen: set[str] = set()
    for name, two, one, back in _DATA.findall(tag):
        text = " ".join((two or one or back).replace("\\", "").split())
        text = f"`{text}`" if name in {"name", "type"} and "`" not in text else text
        if name in seen or not entries:
            entries.append([])
            seen.clear()
        seen.add(name)
        entries[-1].append(text)
    return "".join(f"\n- {': '.join(filter(None, entry))}" for entry in entries if any(entry)) + "\n"
