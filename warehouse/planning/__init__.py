"""Which questions are worth their tokens: expected hits, the budget's choice, its curve, retirement."""
