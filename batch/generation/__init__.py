"""What generation needs beside the engine: the order of prompts, proposed questions."""
