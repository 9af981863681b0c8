"""Generation: batches of prompts, their order, and the proposing of questions."""
