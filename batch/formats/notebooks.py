"""From a Jupyter notebook to an outline: its Markdown, and its code in fences.

Outputs are left out: they are pictures, tables of numbers and tracebacks, and differ from run to run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from batch.formats.markdown import read_markdown
from batch.formats.outline import Outline
from rag.errors import DocumentError


def read_notebook(text: str, title: str = "") -> Outline:
    """Return the outline of a notebook.

    Raises:
        DocumentError: it is no notebook.
    """
    try:
        notebook = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"not a notebook ({str(error).partition(':')[0].lower()}): save it anew") from None
    cells = notebook.get("cells") if isinstance(notebook, Mapping) else None
    if not isinstance(cells, list):
        raise DocumentError("not a notebook of version 4: it has no list of cells; open it in Jupyter and save it anew")
    language = _language(notebook)
    return read_markdown("\n\n".join(_cell(cell, language) for cell in cells if isinstance(cell, Mapping)), title)


def _language(notebook: Mapping[str, object]) -> str:
    """Return the name of the notebook's language as a fence bears it."""
    metadata = notebook.get("metadata")
    for name in ("language_info", "kernelspec"):
        found = metadata.get(name) if isinstance(metadata, Mapping) else None
        language = (found.get("name") or found.get("language")) if isinstance(found, Mapping) else None
        if isinstance(language, str):
            return "python" if language.startswith("python") else language
    return ""


def _cell(cell: Mapping[str, object], language: str) -> str:
    """Return a cell as Markdown."""
    source = cell.get("source", "")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    if cell.get("cell_type") == "markdown":
        return text
    if cell.get("cell_type") != "code" or not text.strip():
        return ""
    fence = "````" if "```" in text else "```"
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"
