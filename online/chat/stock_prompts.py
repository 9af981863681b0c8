"""System prompts that popular clients and their examples ship and that ask for nothing that a prepared answer lacks.

Only whole prompts, word for word. What asks for a language, a format, a character, or for text beside the answer is
not listed, whoever ships it.
"""

from __future__ import annotations

STOCK_PROMPTS = (
    "You are ChatGPT, a large language model trained by OpenAI.",
    "You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\nCurrent date: 2026-01-01",
    "You are ChatGPT, a helpful assistant.",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    # the templates of Vercel's AI SDK
    "You are a friendly assistant! Keep your responses concise and helpful.",
    "You are a friendly assistant! Keep responses concise and helpful.",
    "You are a helpful assistant that can answer questions and help with tasks",
    "You are a helpful assistant that can answer questions and help with tasks.",
    # LangChain and LangGraph
    "You are a helpful assistant. Answer all questions to the best of your ability.",
    "You are a nice chatbot having a conversation with a human.",
    "You are a helpful AI assistant.\n\nSystem time: 2026-01-01T00:00:00+00:00",
    "You are a helpful AI assistant.\n\nSystem time: 2026-01-01T00:00:00.000000+00:00",
    "You are a helpful AI assistant. Today's date is 2026-01-01.",
    "You are a helpful assistant with access to tools.",
    "You are a helpful assistant with access to tools. Use the tools when needed.",
    # Azure's and Spring's examples
    "You are an AI assistant that helps people find information.",
    "You are a helpful AI assistant that helps people find information.",
)
