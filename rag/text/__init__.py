"""Text and tables as files hold them: decoding, rows, sentences."""
