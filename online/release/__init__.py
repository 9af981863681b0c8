"""The release that is served, and what must not be served from it any more."""
