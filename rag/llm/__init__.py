"""The language model: one protocol, and a client for OpenAI-compatible servers."""
