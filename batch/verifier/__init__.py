"""The verifier of semantic hits: its labelled pairs, their look-alikes, and its training."""
