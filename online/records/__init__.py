"""What the service writes down: the journal and the jobs."""
