"""The business logic that batch and online share: plain Python, no framework."""
