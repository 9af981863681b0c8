"""Measures a release on golden questions: its retrieval, its answers, and what changed since the last time."""
