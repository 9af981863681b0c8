-- What visitors asked that no prepared answer was found for, the most frequent first, with who asked: the keys, and the
-- anonymous askers as day and hash, since their hashes change every day. Rows that older versions wrote have no asker.
SELECT
    m.collection, m.question, m.filters, m.asked,
    coalesce(list(DISTINCT r.key_id) FILTER (r.key_id IS NOT NULL), []) AS keys,
    coalesce(
        list(DISTINCT {'day': r.day, 'asker': coalesce(r.asker, 'unknown')}) FILTER (r.key_id IS NULL), []
    ) AS anonymous
FROM (
    FROM frequent_misses WHERE question IS NOT NULL ORDER BY asked DESC, query_key LIMIT 100_000
) m
JOIN requests r ON r.query_key = m.query_key AND r.collection = m.collection
GROUP BY m.collection, m.query_key, m.question, m.filters, m.asked
ORDER BY m.asked DESC, m.query_key;
