"""What roles of reStructuredText are to a reader: their label, or words made of what they refer to."""

from __future__ import annotations

import re

from docutils import nodes, utils

_ROLE_TARGET = re.compile(r"^(.*?)\s*<[^<>]*>$", re.DOTALL)
_CODE_ROLES = frozenset(
    "code command data attr class exc func meth mod obj const keyword option envvar program file samp kbd makevar "
    "literal token type member macro struct enum union var dfn guilabel-code".split()
)


def read_role(rawsource: str, text: str, role: str, lineno: int) -> tuple[list[nodes.Node], list[nodes.Node]]:  # noqa: ARG001
    """Return the text of a role, known or not: its label, or the last part of the name that it refers to."""
    name = role.rpartition(":")[2].lower()
    shown = utils.unescape(text)
    labelled = _ROLE_TARGET.match(shown)
    if name in {"raw", "raw-html", "index"}:
        return [], []
    if labelled and labelled.group(1):
        shown = labelled.group(1)
    elif name in {"pep", "rfc"}:
        shown = f"{name.upper()} {shown.partition('#')[0]}"
    elif name in {"doc", "ref", "term", "numref", "any"}:
        shown = _name_of(shown, name)
    elif shown.startswith("~"):
        shown = shown.rpartition(".")[2].lstrip("~")
    shown = shown.lstrip("!")
    return [nodes.literal(rawsource, shown) if name in _CODE_ROLES else nodes.Text(shown)], []


def _name_of(target: str, role: str) -> str:
    """Return words for a reference without a label: a page's name, a place's."""
    if role == "doc":
        parts = [part for part in target.split("/") if part]
        names = [part for part in parts if part not in {"index", "README"}] or parts or [target]
        target = names[-1]
    return re.sub(r"(?<=\w)[-_](?=\w)", " ", target.lstrip("~")) if role != "term" and " " not in target else target
