"""The front door: the command line and the configuration. It composes the rooms and contains no logic."""
