"""Training of answer selection, per collection and for the selector that is shipped."""
