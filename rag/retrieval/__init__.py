"""From a question to its passages: dense and lexical indexes, fusion, reranking."""
