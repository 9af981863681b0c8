-- The served answers of a release to questions that somebody may ask; filters as JSON, which an older release lacks.
SELECT a.collection, a.query_key, q.question, a.answer, a.fingerprint, to_json(q)->>'filters' AS filters, q.origin
FROM answers a
JOIN questions q USING (query_key)
WHERE a.status = 'served' AND q.origin <> 'canary' AND trim(a.answer) <> ''
ORDER BY a.query_key;
