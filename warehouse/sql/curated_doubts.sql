-- Curated answers whose documents changed since the previous release, and those still waiting for a review.
INSERT INTO doubts
SELECT a.collection, a.query_key, a.fingerprint, 'a document that it names has changed'
FROM answers a
JOIN previous.main.answers b USING (collection, query_key)
LEFT JOIN previous.main.doubts d
    ON d.query_key = a.query_key AND d.fingerprint = a.fingerprint AND d.reason LIKE 'a document that it names%'
ANTI JOIN reviews r ON r.query_key = a.query_key AND r.fingerprint = a.fingerprint
WHERE a.origin = 'curated' AND b.origin = 'curated' AND a.answer = b.answer
    AND (a.passages_hash IS DISTINCT FROM b.passages_hash OR d.query_key IS NOT NULL);
