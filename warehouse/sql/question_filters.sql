-- The filters of some questions as JSON, of those that have some. An older release has no such column.
SELECT query_key, filters
FROM (SELECT q.query_key, to_json(q)->>'filters' AS filters FROM questions q WHERE q.query_key IN (SELECT unnest(?)))
WHERE filters <> '{}';
