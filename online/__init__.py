"""The FastAPI service: exact hit, verified semantic hit, live fallback, journal."""
