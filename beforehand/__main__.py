"""The program, as a script and as `python -m beforehand`: the command line, once it is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Import the command line and run it; Ctrl-C during the half second that the import takes is no traceback."""
    try:
        from beforehand.cli import main as run
    except KeyboardInterrupt:
        print("beforehand: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
