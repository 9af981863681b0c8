"""Reading: documents and question files, from bytes to chunks and questions."""
