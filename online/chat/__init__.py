"""Conversations: Chat Completions and Responses, read, answered from the release and written."""
