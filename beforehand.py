"""The front door: the command line; it composes the rooms and holds no logic of its own."""
