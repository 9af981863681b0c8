"""The language model: its protocol, and a client for OpenAI-compatible servers."""
