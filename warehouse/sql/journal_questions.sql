-- Questions that were asked often but not anticipated, and those that earlier runs anticipated for that reason, as long
-- as the history contains them. Once served, such a question is no longer a miss, but it must stay.
SELECT collection, question, asked FROM frequent_misses WHERE asked >= ? AND question IS NOT NULL
UNION ALL
SELECT q.collection, q.question, count(*)
FROM questions q JOIN requests r ON r.query_key = q.query_key
WHERE q.origin = 'journal'
GROUP BY ALL
