"""The history: compacted journals, and the log of runs."""
