"""The files that a collection names: folders, globs, object stores."""
