-- The answers that some decisions name by their question or by their fingerprint.
SELECT a.collection, a.query_key, a.fingerprint, q.question, a.answer, a.model_id
FROM answers a
JOIN questions q USING (query_key)
WHERE a.query_key IN (SELECT unnest(?)) OR a.fingerprint IN (SELECT unnest(?));
