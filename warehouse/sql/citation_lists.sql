-- The citations of each answer as a list, which its row in `answers` holds (load.py).
-- Lists sort by their first field, the number; sorting within the aggregate takes three times as long.
SELECT c.query_key, list_sort(list({
    'number': c.number, 'kind': c.kind, 'document_id': c.document_id, 'title': d.title, 'uri': d.uri,
    'heading': k.heading, 'chunk_id': c.chunk_id, 'url': coalesce(nullif(k.url, ''), d.url), 'metadata': d.metadata
})) AS citations
FROM citations c
LEFT JOIN documents d USING (collection, document_id)
LEFT JOIN chunks k ON k.chunk_id = c.chunk_id
GROUP BY c.query_key
