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
    WHERE status = 'served' AND invalid_citations > 0
) d
ANTI JOIN reviews USING (collection, query_key, fingerprint);
