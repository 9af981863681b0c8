"""Takes the code of site generators out of Markdown: Liquid, Jinja and Hugo, JSX components, comments, scripts.

It is what a build would have run, so it is no text; what stands inside a component or a shortcode is, and so are
their titles, labels and captions. Code is left alone: fences and code spans hold templates that are shown. One pass
from left to right; every search for an end that fails is remembered, so the time is linear in the text.

Where a component opens or closes on a line of its own, a control character is left (`OPENED`, `CLOSED`), since its
content may be indented by more than Markdown allows (`batch.formats.markdown_dialects`).
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Iterator

from batch.formats.component_texts import listed_data, shown_texts

OPENED, CLOSED = "\x02", "\x03"

_FENCE = r"^(?P<lead>(?:[ \t>]|[-*+][ \t]|\d{1,3}[.)][ \t])*)(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})[^\n]*$"
_MARK = re.compile(
    _FENCE
    + r"|(?P<ticks>(?<![\\`])`+)"
    + r"|(?P<comment><!--)"
    + r"|(?P<jsx_comment>\{/\*)"
    + r"|(?P<snippet>\{\*)"
    + r"|(?P<liquid>\{%)"
    + r"|(?P<hugo>\{\{[<%])"
    + r"|(?P<block>^[ \t]*</?(?:div|section|figure|center|details|summary|article|aside|main|p|ul|ol|li)\b"
    r"[^<>{}\n]*>(?=[ \t]*$))"
    + r"|(?P<element><[a-z][\w.-]*(?=\s[^<>{}]{0,300}=\s*\{))"
    + r"|(?P<mustache>\{\{)"
    + r"|(?P<silent><(?:script|style|svg|iframe|video|audio|object|canvas)\b)"
    + r"|(?P<table><table\b)"
    + r"|(?P<tag>(?<![\w&])</?(?:[A-Z][\w.]*(?=[\s/>]|$)|>))"
    + r"|(?P<module>^(?:import|export)\b(?=[ \t{*]))"
    + r"|(?P<expression>\{)",
    re.MULTILINE,
)
_IMPORT = re.compile(r"import\s+(?:[\w*{][^;\"'`]{0,2000}?\sfrom\s*)?[\"'][^\"'\n]+[\"'];?[ \t]*(?=\n|\Z)")
_EXPORT = re.compile(r"export\s+(?:default|const|let|var|function|class|async|\*|\{)")
_RAW = re.compile(r"\{%-?\s*(?:end)?raw\s*-?%\}")
_LIQUID_NAME = re.compile(r"-?\s*([\w-]+)\s*(.*?)\s*-?$", re.DOTALL)
_HUGO_NAME = re.compile(r"\s*(/?)\s*([\w./-]+)\s*(.*?)\s*/?$", re.DOTALL)
_POSITIONAL = re.compile(r"\"((?:[^\"\\]|\\.)*)\"")
_STRING = re.compile(r"\s*(?:\"([^\"\n]*)\"|'([^'\n]*)'|`([^`$]*)`)\s*\Z")
_CODE_SHORTCODES = frozenset("highlight code code-toggle codeblock code-block cmd command terminal prism".split())
_LANGUAGE = re.compile(r"\"?([\w+#-]+)\"?(?![\w+#-]*=)|.*?\blang(?:uage)?=\"?([\w+#-]+)")
_SHOWN = ("title", "header", "label", "heading", "summary", "caption", "alt", "text", "tip", "content")
_FIELD_NAMES = ("name", "path", "query", "body", "header")
_PLACEHOLDER = re.compile(r"</?[A-Z][A-Z0-9_]*>")
_BRACE = re.compile(r"[{}]")
_BRACE_OR_STRING = re.compile(
    r"[{}]|\"(?:[^\"\\\n]|\\.){0,2000}\"|'(?:[^'\\\n]|\\.){0,2000}'|`(?:[^`\\]|\\.){0,2000}`", re.DOTALL
)
_HOLDS_DATA = re.compile(r"=\s*\{\s*[\[{]")
_BRACED_STYLE = re.compile(r"display\W+none|visibility\W+hidden")
_FAR = 20_000  # characters: no tag and no expression is longer
_FAR_DATA = 200_000  # but data that is passed to a component
_WHOLE_LINE = re.compile(r"[ \t]*(?=\n|\Z)")


def without_template_code(text: str, *, mdx: bool) -> str:
    """Return Markdown without what a site's build would have run; with `mdx`, expressions in braces are such."""
    if not re.search(r"[{<`~]|^(?:import|export)\b", text, re.MULTILINE):
        return text
    return "".join(_Scanner(text, mdx).pieces())


class _Scanner:
    """Reads a text mark by mark. `_at` is where it stands; `_absent` are ends that don't come any more."""

    def __init__(self, text: str, mdx: bool) -> None:
        self._text, self._mdx, self._at = text, mdx, 0
        self._absent: set[str] = set()
        self._paragraph_end = -1
        self._runs: dict[int, list[int]] = {}  # where runs of backticks begin in the paragraph, by their length

    def pieces(self) -> Iterator[str]:
        """Yield the parts of the text that stay, and what stands in place of the others."""
        while mark := _MARK.search(self._text, self._at):
            yield self._text[self._at : mark.start()]
            self._at = mark.end()
            kind = mark.lastgroup or ""
            yield getattr(self, f"_{kind}")(mark)
        yield self._text[self._at :]

    # -- code, which stays ---------------------------------------------------------------------------------

    def _fence(self, mark: re.Match[str]) -> str:
        fence = mark.group("fence")
        close = re.compile(rf"^[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
        end = close.search(self._text, mark.end())
        self._at = end.end() if end else len(self._text)
        code = self._text[mark.start() : self._at]
        return _RAW.sub("", code).replace("{{</*", "{{<").replace("*/>}}", ">}}") if "{" in code else code

    def _ticks(self, mark: re.Match[str]) -> str:
        if mark.start() >= self._paragraph_end:
            self._index_runs(mark.start())
        length = len(mark.group())
        starts = self._runs.get(length, [])
        following = bisect_right(starts, mark.start())
        if following < len(starts):
            self._at = starts[following] + length
        return _RAW.sub("", self._text[mark.start() : self._at])

    def _index_runs(self, start: int) -> None:
        end = self._find("\n\n", start)
        self._paragraph_end = end if end >= 0 else len(self._text)
        self._runs = {}
        for run in re.finditer("`+", self._text[start : self._paragraph_end]):
            self._runs.setdefault(len(run.group()), []).append(start + run.start())

    # -- what goes -----------------------------------------------------------------------------------------

    def _comment(self, mark: re.Match[str]) -> str:
        self._through("-->", mark)
        return ""

    def _jsx_comment(self, mark: re.Match[str]) -> str:
        return self._through("*/}", mark)

    def _snippet(self, mark: re.Match[str]) -> str:
        return self._through("*}", mark)

    def _silent(self, mark: re.Match[str]) -> str:
        name = mark.group()[1:]
        end = self._find(f"</{name}", self._at)
        opening_end = self._find(">", self._at)
        if opening_end > 0 and self._text[opening_end - 1] == "/":
            self._at = opening_end + 1
        elif end >= 0:
            self._at = self._after(">", end)
        elif opening_end >= 0:
            self._at = opening_end + 1
        return ""

    def _table(self, mark: re.Match[str]) -> str:
        """Join the lines of a table in HTML: a blank one would end it for Markdown."""
        end = self._find("</table", self._at)
        if end < 0:
            return mark.group()
        self._at = self._after(">", end)
        table = without_template_code(self._text[mark.end() : self._at], mdx=self._mdx)
        return mark.group() + re.sub(r"\n\s*\n", "\n", table.replace(OPENED, "").replace(CLOSED, ""))

    def _module(self, mark: re.Match[str]) -> str:
        found = _IMPORT.match(self._text, mark.start())
        if found:
            self._at = found.end()
            return ""
        if not self._mdx or not _EXPORT.match(self._text, mark.start()):
            return mark.group()
        self._at = self._after("\n\n", mark.start())
        return "\n\n"

    def _expression(self, mark: re.Match[str]) -> str:
        if not self._mdx:
            return mark.group()
        end = self._balanced(mark.start(), _FAR)
        if end < 0:
            return mark.group()
        string = _STRING.match(self._text[mark.end() : end - 1])
        inside = self._text[mark.end() : end]
        if inside[:1] in {"#", ":", "."}:  # attributes: a heading's own anchor
            return mark.group()
        self._at = end
        return next((part for part in string.groups() if part is not None), "") if string else ""

    # -- templates -----------------------------------------------------------------------------------------

    def _mustache(self, mark: re.Match[str]) -> str:
        end = self._find("}}", self._at)
        if end < 0 or "\n\n" in self._text[self._at : min(end, self._at + 2000)]:
            return mark.group()
        self._at = end + (3 if self._text.startswith("}}}", end) and self._text.startswith("{{{", mark.start()) else 2)
        return ""

    def _liquid(self, mark: re.Match[str]) -> str:
        end = self._find("%}", self._at)
        if end < 0:
            return mark.group()
        found = _LIQUID_NAME.match(self._text[self._at : end])
        self._at = end + 2
        name, rest = (found.group(1), found.group(2)) if found else ("", "")
        if name == "raw":
            return self._until_liquid("endraw")
        if name in {"comment", "endcomment"}:
            if name == "comment":
                self._until_liquid("endcomment")
            return ""
        if name == "highlight":
            language = rest.split()[0] if rest else ""
            return f"```{language}\n{self._until_liquid('endhighlight').strip(chr(10))}\n```"
        return shown_texts(rest, ("content", "text", "title", "caption", "alt")) if name.startswith("include") else ""

    def _until_liquid(self, name: str) -> str:
        """Return what stands before an end tag, and go on behind it."""
        start = self._at
        if name in self._absent:
            return ""
        end = re.compile(rf"\{{%-?\s*{name}\s*-?%\}}").search(self._text, start)
        if not end:
            self._absent.add(name)
            return ""
        self._at = end.end()
        return self._text[start : end.start()]

    def _hugo(self, mark: re.Match[str]) -> str:
        end = self._find(">}}" if mark.group().endswith("<") else "%}}", self._at)
        if end < 0:
            return mark.group()
        found = _HUGO_NAME.match(self._text[self._at : end])
        self._at = end + 3
        if not found or found.group(1):
            return ""
        name, rest = found.group(2), found.group(3)
        if name == "comment":
            self._until_hugo(name)
            return ""
        if name in _CODE_SHORTCODES and (code := self._code_until_hugo(name)):
            language = _LANGUAGE.match(rest)
            return f"```{next(filter(None, language.groups()), '') if language else ''}\n{code.strip(chr(10))}\n```"
        positional = _POSITIONAL.match(rest)
        if name in {"heading", "tab"} and positional:
            return positional.group(1) + ("" if _WHOLE_LINE.match(self._text, self._at) else ": ")
        shown = shown_texts(rest, ("text", "title", "header", "caption", "alt", *(("name",) if name == "tab" else ())))
        term = re.search(r"term_id=\"([^\"]+)\"", rest)
        return shown or (term.group(1).replace("_", " ").replace("-", " ") if term else "")

    def _code_until_hugo(self, name: str) -> str:
        """Return what stands before an end tag unless it is fenced already."""
        start = self._at
        code = self._until_hugo(name)
        if "```" in code:
            self._at = start
            return ""
        return code

    def _until_hugo(self, name: str) -> str:
        start, key = self._at, f"/{name}"
        if key in self._absent:
            return ""
        end = re.compile(rf"\{{\{{[<%]\s*/\s*{name}\s*[>%]\}}\}}").search(self._text, start)
        if not end:
            self._absent.add(key)
            return ""
        self._at = end.end()
        return self._text[start : end.start()]

    # -- components ----------------------------------------------------------------------------------------

    def _tag(self, mark: re.Match[str]) -> str:
        if not self._mdx and (mark.group().endswith(">") or _PLACEHOLDER.match(self._text, mark.start())):
            return mark.group()
        end = self._end_of_tag(mark.end())
        if end < 0:
            return mark.group()
        tag, self._at = self._text[mark.start() : end], end
        names = (*_SHOWN, *_FIELD_NAMES) if re.match(r"<\w*Field\b", tag) else _SHOWN
        shown = html.unescape(
            shown_texts(tag, names) or (shown_texts(tag, ("value",)) if tag.startswith("<TabItem") else "")
        )
        start_of_line = self._text.rfind("\n", 0, mark.start()) + 1
        if self._text[start_of_line : mark.start()].strip() or not _WHOLE_LINE.match(self._text, end):
            return f"{shown}: " if shown and not tag.endswith("/>") else shown
        title = f"**{shown}**\n" if shown else ""
        title += listed_data(tag) if _HOLDS_DATA.search(tag) and not tag.startswith("<Tabs") else ""
        if tag.startswith("</"):
            return CLOSED
        return title if tag.endswith("/>") else f"{OPENED}{title}"

    def _block(self, mark: re.Match[str]) -> str:
        """Put a blank line behind a tag on a line of its own: in MDX, Markdown may follow on the next one."""
        return f"{mark.group()}\n" if self._mdx else mark.group()

    def _element(self, mark: re.Match[str]) -> str:
        """Make an element of HTML of one whose attributes are expressions."""
        end = self._end_of_tag(mark.end())
        if end < 0:
            return mark.group()
        tag, self._at = self._text[mark.start() : end], end
        if mark.group() == "<img":
            return shown_texts(tag, ("alt",))
        hidden = " hidden" if _BRACED_STYLE.search(tag) else ""
        apart = "\n" if self._mdx and not tag.endswith("/>") and _WHOLE_LINE.match(self._text, end) else ""
        return f"{mark.group()}{hidden}{'/>' if tag.endswith('/>') else '>'}{apart}"

    def _end_of_tag(self, start: int) -> int:
        """Return where a tag ends: at the `>` that stands in no string and in no braces; -1 for no tag."""
        if self._text[start - 1] == ">":
            return start
        at, limit = start, min(len(self._text), start + _FAR_DATA)
        while at < limit:
            character = self._text[at]
            if character == ">":
                return at + 1
            if character == "<" or (character == "\n" and self._text.startswith("\n\n", at)):
                return -1
            if character in "\"'":
                at = self._find(character, at + 1)
            elif character == "{":
                at = self._balanced(at, _FAR_DATA) - 1
            if at < 0:
                return -1
            at += 1
        return -1

    def _balanced(self, start: int, far: int) -> int:
        """Return where the braces that open at `start` are closed; -1 where they never are, or far away.

        Braces in strings don't count, unless an apostrophe among words makes a string of half a page.
        """
        end = self._closing(_BRACE_OR_STRING, start, far)
        return end if end >= 0 else self._closing(_BRACE, start, far)

    def _closing(self, braces: re.Pattern[str], start: int, far: int) -> int:
        depth = 0
        for brace in braces.finditer(self._text, start, start + far):
            depth += {"{": 1, "}": -1}.get(brace.group(), 0)
            if depth == 0:
                return brace.end()
            if depth > 12:
                break
        return -1

    # -- searching -----------------------------------------------------------------------------------------

    def _through(self, end: str, mark: re.Match[str]) -> str:
        found = self._find(end, self._at)
        if found < 0:
            return mark.group()
        self._at = found + len(end)
        return ""

    def _after(self, end: str, start: int) -> int:
        found = self._find(end, start)
        return found + len(end) if found >= 0 else len(self._text)

    def _find(self, needle: str, start: int) -> int:
        if needle in self._absent:
            return -1
        found = self._text.find(needle, start)
        if found < 0:
            self._absent.add(needle)
        return found
