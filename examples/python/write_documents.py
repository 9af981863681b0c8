"""Write the Python language reference that ships inside CPython as a folder of text documents.

    python examples/python/write_documents.py examples/python/documents

One file a topic. Files that are already there are left alone, so edits survive; `--fresh` writes all anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from pydoc_data.topics import topics


def write(target: Path, fresh: bool = False) -> tuple[int, int]:
    """Write the topics into a folder; return how many were written and how many were left alone."""
    target.mkdir(parents=True, exist_ok=True)
    written = 0
    for topic, text in sorted(topics.items()):
        file = target / f"{topic}.txt"
        if fresh or not file.exists():
            file.write_text(text, encoding="utf-8")
            written += 1
    return written, len(topics) - written


def main() -> None:
    """Read the command line, write the folder and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", type=Path, help="folder for the documents; it is created")
    parser.add_argument("--fresh", action="store_true", help="write over files that are already there")
    options = parser.parse_args()
    written, kept = write(options.target, options.fresh)
    print(f"{options.target}: {written} documents written, {kept} left as they were")


if __name__ == "__main__":
    main()
