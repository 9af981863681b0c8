-- Questions of some collections that contain some words, for a reviewer who looks for one.
SELECT q.collection, q.query_key, q.question
FROM questions q
JOIN answers a USING (query_key)
WHERE q.origin <> 'canary' AND list_contains(?, q.collection) AND contains(lower(q.question), lower(?))
ORDER BY q.question, q.collection
LIMIT ?;
