"""How a question is answered: exact hit, semantic hit, live answer."""
