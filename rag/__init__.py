"""The domain that batch and online share: retrieval, paraphrase, prompting, the LLM protocol. Plain Python."""
