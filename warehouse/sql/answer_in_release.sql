-- What one release, attached as `release`, has of a question, by its key or by the key of one of its wordings: the answer,
-- and what determined it.
WITH asked AS (
    SELECT coalesce(any_value(w.query_key), $key) AS query_key, any_value(w.wording) AS wording
    FROM wordings w WHERE w.wording_key = $key
)
SELECT q.query_key, q.question, k.wording, a.answer, a.status, a.withheld_reason, s.reason AS set_aside
FROM asked k
LEFT JOIN questions q USING (query_key)
LEFT JOIN answers a USING (query_key)
LEFT JOIN set_aside s ON s.query_key = k.query_key;
