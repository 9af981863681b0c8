"""Sources: the files that a collection names, as folders, globs or addresses of object stores."""
