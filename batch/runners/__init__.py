"""Beam runners: their options, the pool of worker processes, and the jobs that a killed client left."""
