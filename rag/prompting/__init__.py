"""Prompts: templates, query rewriting, and the citations in an answer."""
