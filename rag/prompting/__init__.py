"""From passages to a prompt, and from an answer to its citations."""
