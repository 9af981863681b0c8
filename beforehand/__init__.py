"""The front door: the command line and the configuration; it composes the rooms and holds no logic of its own."""
