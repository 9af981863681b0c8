"""Stores: the Parquet files that outlive runs, and how they are read, written and compacted."""
