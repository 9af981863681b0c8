"""Training the verifier of semantic hits on labelled pairs and look-alikes."""
