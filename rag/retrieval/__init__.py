"""Finds passages for a question: dense and lexical indexes, fusion, reranking."""
