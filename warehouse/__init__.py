"""DuckDB: schema, releases, audit, history and views for analysts."""
