"""Which prepared answer does a question want, or none of them?"""
