"""What a collection looks like once it is read, before a model is asked: `beforehand check`."""
