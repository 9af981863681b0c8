-- The passages stored for questions, by query key; what a prompt shows around the candidates has no rank.
SELECT query_key, chunk_id, CASE WHEN coalesce(dense_rank, lexical_rank) IS NOT NULL THEN rank END AS rank, in_prompt
FROM retrievals
WHERE list_contains($keys, query_key)
