"""For analysts: SQL sessions and their output, reports, differences between releases."""
