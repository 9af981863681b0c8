-- Wordings that a judge found, and whose visitors found the answer unhelpful more often than helpful: at least one in ten
-- of the requests that asked in these very words since they became a wording.
SELECT w.collection, w.query_key, w.wording, w.origin
FROM wordings w
JOIN requests r ON r.collection = w.collection AND r.wording_key = w.wording_key
    AND r.source = 'exact' AND r.recorded_at >= w.since
LEFT JOIN (SELECT request_id, collection, bool_and(helpful) AS helpful FROM feedback GROUP BY ALL) f
    ON f.request_id = r.request_id AND f.collection = r.collection
WHERE w.origin IN ('journal', 'model')
GROUP BY ALL
HAVING count(*) FILTER (NOT f.helpful) > count(*) FILTER (f.helpful)
    AND count(*) FILTER (NOT f.helpful) >= 0.1 * count(*);
