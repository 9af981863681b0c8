"""The files of anticipated questions."""
