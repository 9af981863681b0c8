"""What HTML pages show, and who may see them."""
