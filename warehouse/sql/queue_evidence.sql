-- The passages of some answers, in the order of their numbers; a curated answer may cite a whole document.
SELECT
    c.query_key, c.number, c.kind, c.document_id, coalesce(c.chunk_id, '') AS chunk_id, coalesce(d.title, '') AS title,
    coalesce(d.uri, '') AS uri, coalesce(k.heading, '') AS heading, coalesce(k.text, '') AS text,
    coalesce(k.content_hash, d.content_hash, '') AS content_hash, coalesce(nullif(k.url, ''), d.url, '') AS url
FROM citations c
LEFT JOIN documents d ON d.collection = c.collection AND d.document_id = c.document_id
LEFT JOIN chunks k ON k.chunk_id = c.chunk_id
WHERE c.query_key IN (SELECT unnest(?))
ORDER BY c.query_key, c.number;
