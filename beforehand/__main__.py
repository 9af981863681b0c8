"""`python -m beforehand`: the command line."""

from beforehand.cli import main

main()
