"""Retrieval over the tables of a run: its chunks, and the ranking of its questions."""
