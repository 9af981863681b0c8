"""The history: compacted journals, and the run log."""
