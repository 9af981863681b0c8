"""The release that is served, and what may not be served from it any more."""
