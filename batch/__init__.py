"""The Beam pipelines: prepare, index, anticipate, retrieve, generate."""
