-- What visitors asked that no prepared answer was found for, the most frequent first, with who asked: the keys, and the
-- anonymous askers as day and hash, since their hashes change every day. Rows that older versions wrote have no asker.
-- A semantic hit that visitors found unhelpful more often than helpful is no answer either: those who said so count.
WITH asked AS (
    SELECT r.collection, r.query_key, m.question, r.filters, r.day, r.key_id, r.asker, m.asked AS missed
    FROM requests r
    JOIN (
        FROM frequent_misses WHERE question IS NOT NULL ORDER BY asked DESC, query_key LIMIT 100_000
    ) m USING (collection, query_key)
    UNION ALL
    SELECT r.collection, r.query_key, r.question, r.filters, r.day, r.key_id, r.asker, NULL
    FROM requests r
    JOIN (SELECT request_id, collection, bool_and(helpful) AS helpful FROM feedback GROUP BY ALL) f
        USING (request_id, collection)
    WHERE r.source = 'semantic' AND r.question IS NOT NULL AND r.query_key NOT IN (
        SELECT query_key FROM answers WHERE status = 'served'
        UNION ALL
        SELECT w.wording_key FROM wordings w JOIN answers a USING (query_key) WHERE a.status = 'served'
    )
    WINDOW same AS (PARTITION BY r.collection, r.query_key)
    QUALIFY NOT f.helpful
        AND count(*) FILTER (NOT f.helpful) OVER same > count(*) FILTER (f.helpful) OVER same
)
SELECT
    collection, mode(question) AS question, any_value(filters) AS filters,
    coalesce(max(missed), 0) + count(*) FILTER (missed IS NULL) AS asked,
    coalesce(list(DISTINCT key_id) FILTER (key_id IS NOT NULL), []) AS keys,
    coalesce(list(DISTINCT {'day': day, 'asker': coalesce(asker, 'unknown')}) FILTER (key_id IS NULL), []) AS anonymous
FROM asked
GROUP BY collection, query_key
ORDER BY asked DESC, query_key;
