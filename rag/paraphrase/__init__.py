"""Do two questions ask the same? Guards, features, the certified verifier."""
