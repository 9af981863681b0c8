"""Do two questions ask the same thing? Guards, features and a certified verifier."""
