"""The Prefect flows that order, retry, schedule and report the batch work."""
