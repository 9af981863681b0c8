"""Text and tables in files: decoding, table rows, sentences."""
