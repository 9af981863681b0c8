"""Further wordings of prepared answers: visitors' misses and the language model's own, judged before they count."""
