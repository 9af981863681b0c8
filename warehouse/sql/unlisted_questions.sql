-- The questions of the origin journal that wait for a person, most asked first. The parameter lists the keys that have
-- been decided about.
SELECT q.collection, q.query_key, q.question, a.fingerprint, a.answer, a.status, coalesce(r.asked, 0) AS asked
FROM questions q
LEFT JOIN answers a USING (query_key)
LEFT JOIN (SELECT query_key, count(*) AS asked FROM requests GROUP BY query_key) r USING (query_key)
WHERE q.origin = 'journal' AND NOT list_contains(?, q.query_key)
ORDER BY asked DESC, q.collection, q.question;
