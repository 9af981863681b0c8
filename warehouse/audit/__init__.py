"""The audit of a build, with golden questions."""
