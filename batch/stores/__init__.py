"""What outlives a run: Parquet files, generations, embeddings."""
