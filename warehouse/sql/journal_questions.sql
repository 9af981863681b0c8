-- What people asked at least so often and nobody had anticipated, and what earlier runs anticipated for that reason,
-- as long as the history remembers that it was asked. Once served it is no miss any more, but it must stay.
SELECT collection, question, asked FROM frequent_misses WHERE asked >= ? AND question IS NOT NULL
UNION ALL
SELECT q.collection, q.question, count(*)
FROM questions q JOIN requests r ON r.query_key = q.query_key
WHERE q.origin = 'journal'
GROUP BY ALL
