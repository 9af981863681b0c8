"""From a file of any format to the outline of a document."""
