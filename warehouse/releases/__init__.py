"""Releases: loading, publishing, the serving index, retention."""
