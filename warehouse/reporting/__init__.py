"""The report on a release and its service: a worklist for owners, as HTML and as Markdown."""
