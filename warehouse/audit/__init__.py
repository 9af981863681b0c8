"""The audit of a build, golden questions among it."""
