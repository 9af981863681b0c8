-- Wordings that a judge found, and whose visitors found the answer unhelpful more often than helpful, and at least one in
-- ten of the requests that asked in these very words since they became a wording; with those who said so, as keys and as
-- anonymous askers by day and hash.
SELECT
    w.collection, w.query_key, w.wording, w.origin,
    coalesce(list(DISTINCT r.key_id) FILTER (NOT f.helpful AND r.key_id IS NOT NULL), []) AS keys,
    coalesce(
        list(DISTINCT {'day': r.day, 'asker': coalesce(r.asker, 'unknown')}) FILTER (NOT f.helpful AND r.key_id IS NULL),
        []
    ) AS anonymous
FROM wordings w
JOIN requests r ON r.collection = w.collection AND r.wording_key = w.wording_key
    AND r.source = 'exact' AND r.recorded_at >= w.since
LEFT JOIN (SELECT request_id, collection, bool_and(helpful) AS helpful FROM feedback GROUP BY ALL) f
    ON f.request_id = r.request_id AND f.collection = r.collection
WHERE w.origin IN ('journal', 'model')
GROUP BY w.collection, w.query_key, w.wording, w.origin
HAVING count(*) FILTER (NOT f.helpful) > count(*) FILTER (f.helpful)
    AND count(*) FILTER (NOT f.helpful) >= 0.1 * count(*);
