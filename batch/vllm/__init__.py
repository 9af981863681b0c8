"""vLLM: in this process, as a server, and what both are told about the machine."""
