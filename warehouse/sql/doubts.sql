-- Served answers that a person should look at, unless one has reviewed this fingerprint.
INSERT INTO doubts
SELECT d.collection, d.query_key, d.fingerprint, d.reason
FROM (
    SELECT collection, query_key, fingerprint, 'its passages bear out little of it' AS reason
    FROM answers
    WHERE status = 'served' AND origin = 'generated' AND support < getvariable('doubtful_support')
    UNION ALL
    SELECT collection, query_key, fingerprint, 'it referred to passages that were not in its prompt'
    FROM answers
    WHERE status = 'served' AND origin <> 'edited' AND invalid_citations > 0
    UNION ALL
    SELECT
        r.collection, r.query_key, a.fingerprint,
        CASE r.decision WHEN 'edit' THEN 'edited before' ELSE 'approved before' END || '; its passages or model changed'
    FROM reviews r
    JOIN answers a USING (query_key)
    WHERE a.status = 'served' AND r.fingerprint <> a.fingerprint AND r.decision IN ('edit', 'approve')
) d
ANTI JOIN reviews USING (collection, query_key, fingerprint);
