"""What Prefect, the run log and people are told about a run: states, logs, progress, artifacts, alerts."""
