"""What a reader sees of a line of AsciiDoc: the texts of links and macros, attributes resolved, no anchors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_BUILT_IN = {
    "nbsp": " ", "sp": " ", "empty": "", "blank": "", "zwsp": "", "wj": "", "plus": "+", "amp": "&",
    "lt": "<", "gt": ">",
    "apos": "'", "quot": '"', "lsquo": "\u2018", "rsquo": "\u2019", "ldquo": "\u201c", "rdquo": "\u201d", "deg": "°",
    "brvbar": "¦", "vbar": "|", "startsb": "[", "endsb": "]", "caret": "^", "asterisk": "*", "tilde": "~", "cpp": "C++",
    "backslash": "\\", "backtick": "`", "two-colons": "::", "two-semicolons": ";;", "pp": "++", "hyphen": "-",
    "litdd": "--",
}  # fmt: skip
COMPATIBLE = "compat-mode"  # of documents in the syntax of before 2014

_CODE_SPAN = re.compile(r"(?<![\"'`\w])(`{1,2})(?!`)(.{1,400}?)(?<!`)\1(?![`\w\"'])", re.DOTALL)
_OLD_CODE_SPAN = re.compile(r"(?<![`\w])(`)(?!`)([^`']{1,400}|[^`]{1,400})`(?![`\w])", re.DOTALL)
_OLD_QUOTED = re.compile(r"``(\S[^`]{0,400}?)''(?!\w)|(?<![\w`])`(\S[^`'\n]{0,400}?)'(?!\w)")
_OLD_EMPHASIS = re.compile(r"(?<![\w;:}'])'(\S(?:[^']{0,300}?\S)?)'(?![\w'])")
_OLD_CODE = re.compile(r"(?<![\w;:}+])\+(\S(?:[^+\n]{0,300}?\S)?)\+(?![\w+])")
_ATTRIBUTE = re.compile(r"(?<![\\$])\{(?:(?:set|counter2?):[^{}\n]*|([A-Za-z0-9_][\w-]*))\}")
_QUOTED = re.compile(r"\"`(.+?)`\"|'`(.+?)`'")
_XREF = re.compile(r"<<([^<>,\n]{1,200})(?:,\s*([^<>]{1,300}))?>>")
_MACRO = re.compile(r"(?<![\w/])(\\?)([a-z][\w-]{1,30}):([^\s\[\]`<>\"|]{0,500})\[((?:[^\]\\]|\\.){0,500})\]")
_LINK = re.compile(r"(?:link:)?(?:\b(?:https?|ftp|irc)://)[^\s\[\]<>]{1,1000}\[((?:[^\]\\]|\\.){0,500})\]")
_KNOWN_MACRO = re.compile(
    r"(?<![\w/])(\\?)(xref|link|mailto|javadoc|image|footnote|kbd|btn|menu|icon):([^\s\[\]`<>\"|]{0,500})"
    r"\[((?:[^\]\\]|\\.){0,500})\]"
)
_UNKNOWN_ADDRESS = re.compile(r"(?:link:)?\{([A-Za-z0-9_][\w-]*)\}([^\s\[\]`]{0,500})\[((?:[^\]\\\n]|\\.){1,500})\]")
_ANCHOR = re.compile(r"\[\[[^\[\]\n]{1,200}\]\]|(?<=\*\s)\[#[\w.-]+\]|anchor:[\w.-]+\[[^\]]*\]")
_ROLE = re.compile(r"\[(?:[.#%][^\[\]\n]{0,100}|[\w-]{1,40})\](#{1,2})(\S(?:.*?\S)?)\1(?!\w)")
_INDEX_TERM = re.compile(r"\(\(\([^()\n]*\)\)\)")
_SHOWN_TERM = re.compile(r"\(\(([^()\n]+)\)\)")
_PASS = re.compile(r"\+\+\+(.*?)\+\+\+|\+\+(\S.*?)\+\+")
_PLAIN = re.compile(r"(?<![\w+])\+(\S(?:[^+\n]{0,300}?\S)?)\+(?![\w+])")
_LINE_BREAK = re.compile(r"[ \t]+\+$", re.MULTILINE)
_MANUAL_SECTION = re.compile(r"\d\w?")
_ESCAPE = re.compile(r"\\(?=[{<`*_\[#^~\"'(]|https?:|[a-z]+:)")
_OPTION = re.compile(r",\s*(?:window|role|opts|options|xrefstyle|id|title|width|height|align|link|subs)\s*=.*$|\^$")
_ONLY_OPTION = re.compile(r"\s*[a-z-]+=\S*\s*")
_SILENT = frozenset("icon indexterm indexterm2 anchor video audio toc".split())


def shown(line: str, attributes: Mapping[str, str]) -> str:
    """Return the words of a paragraph as a page shows them; code keeps its backticks."""
    compatible = COMPATIBLE in attributes
    if not _SPECIAL.search(line) and not (compatible and "'" in line):
        return line
    line = _LINE_BREAK.sub("", resolved(_UNKNOWN_ADDRESS.sub(_by_its_text(attributes), line), attributes))
    line = _KNOWN_MACRO.sub(_macro, _LINK.sub(_link, line))  # before code: their texts may hold it
    line = _OLD_QUOTED.sub(_in_quotation_marks, line) if compatible else line
    parts: list[str] = []
    at = 0
    for span in (_OLD_CODE_SPAN if compatible else _CODE_SPAN).finditer(line):
        code = span.group(2)
        if code.startswith("+") and code.endswith("+") and len(code) > 2:
            code = code.strip("+")
        parts += [_prose(line[at : span.start()], compatible=compatible), f"`{_XREF.sub(_label, code)}`"]
        at = span.end()
    return _ESCAPE.sub("", "".join([*parts, _prose(line[at:], compatible=compatible)]))


_SPECIAL = re.compile(r"[{\[<`+\\(\"#]")


def resolved(line: str, attributes: Mapping[str, str], longest: int = 10_000) -> str:
    """Return a line with its attributes in place; one that nothing defines is gone, or kept where it is code.

    Attributes that hold themselves would grow without end: they stay as they are where more than `longest` characters
    would come of them.
    """
    for _ in range(3):  # an attribute may hold others
        changed = _with_values(line, attributes) if "{" in line else line
        if changed == line or len(changed) > max(longest, len(line)):
            break
        line = changed
    return line


def _with_values(line: str, attributes: Mapping[str, str]) -> str:
    marks = counted = 0  # the code marks before an attribute, counted on from the one before

    def value(found: re.Match[str]) -> str:
        name = (found.group(1) or "").lower()
        if name in attributes:
            return attributes[name]
        if name in _BUILT_IN:
            return _BUILT_IN[name]
        nonlocal marks, counted
        marks, counted = marks + line.count("`", counted, found.start()), found.start()
        in_code = marks % 2 == 1 or line[found.start() - 1 : found.start()] == "/"
        return found.group() if in_code and name and "-" not in name else ""

    return _ATTRIBUTE.sub(value, line)


def _by_its_text(attributes: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    """Return what replaces a link whose address begins with an attribute that nothing defines: its text."""

    def text(found: re.Match[str]) -> str:
        name = found.group(1).lower()
        return found.group() if name in attributes or name in _BUILT_IN else _text_of(found.group(3))

    return text


def _in_quotation_marks(found: re.Match[str]) -> str:
    return f'"{found.group(1)}"' if found.group(1) else f"'{found.group(2)}'"


def _prose(text: str, *, compatible: bool) -> str:
    text = _QUOTED.sub(lambda found: f'"{found.group(1)}"' if found.group(1) else f"'{found.group(2)}'", text)
    text = _PASS.sub(lambda found: re.sub(r"<[^>]*>", "", found.group(1) or found.group(2) or ""), text)
    text = _OLD_CODE.sub(r"`\1`", _OLD_EMPHASIS.sub(r"_\1_", text)) if compatible else _PLAIN.sub(r"\1", text)
    text = _INDEX_TERM.sub("", text) if "(((" in text else text
    text = _SHOWN_TERM.sub(r"\1", text)
    text = _ROLE.sub(r"\2", _ANCHOR.sub("", text))
    return _macros(_XREF.sub(_label, text))


def _label(found: re.Match[str]) -> str:
    """Return the text of a cross reference, or words made of what it refers to."""
    return found.group(2) or _name_of(found.group(1))


def _macros(text: str) -> str:
    return _MACRO.sub(_macro, _LINK.sub(_link, text))


def _link(found: re.Match[str]) -> str:
    return _text_of(found.group(1)) or found.group().removeprefix("link:").partition("[")[0]


def _macro(found: re.Match[str]) -> str:
    escaped, name, target, text = found.groups()
    if escaped or name in _SILENT:
        return found.group()[1:] if escaped else ""
    if name == "menu":
        return " > ".join(filter(None, [target, *(part.strip() for part in text.split(">"))]))
    if name == "footnote":
        return f" ({text})" if text else ""
    if name == "image":
        return _text_of(text.split(",")[0]) if "=" not in text.split(",")[0] else ""
    if target and name not in {"xref", "javadoc", "mailto", "link"} and _MANUAL_SECTION.fullmatch(text):
        return f"{target}({text})"  # linkgit:git-add[1], man:ls[1]
    return _text_of(text) or (target if name in {"mailto", "link"} else _name_of(target))


def _text_of(attributes: str) -> str:
    """Return the text among a macro's attributes."""
    text = "" if _ONLY_OPTION.fullmatch(attributes) else _OPTION.sub("", attributes.strip()).strip()
    return text.strip('"').removesuffix("^").replace("\\]", "]")


def _name_of(target: str) -> str:
    """Return words for a target without a text: a page's name, a section's id, a class's name."""
    page, _, part = target.partition("#")
    last = part or page.rstrip("/").rpartition("/")[2].removesuffix(".adoc")
    return last.rpartition("$")[2].rpartition(".")[2].strip("_") if "." in last else last.strip("_").replace("-", " ")
