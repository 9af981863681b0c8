-- The checks of the release audit. The line above each gives its name, its setting and a sentence; the query returns
-- its population: item, and whether it counts against the release. Questions proposed from the corpus count in checks
-- for a broken language model but not in those for bad answers: such answers are withheld, and nobody asked for them.

-- not served | least_served | {bad} of {total} questions have no served answer
SELECT q.question AS item, a.query_key IS NULL AS bad
FROM questions q
LEFT JOIN (SELECT query_key FROM answers WHERE status = 'served') a USING (query_key)
WHERE q.origin NOT IN ('canary', 'corpus');

-- empty | most_empty | {bad} of {total} generated answers are empty
SELECT q.question AS item, NOT regexp_matches(a.answer, '[\p{L}\p{N}]') AS bad
FROM answers a JOIN questions q USING (query_key)
WHERE a.origin = 'generated';

-- truncated | most_truncated | {bad} of {total} generated answers were cut off
SELECT q.question AS item, a.finish_reason IS NOT DISTINCT FROM 'length' AS bad
FROM answers a JOIN questions q USING (query_key)
WHERE a.origin = 'generated' AND q.origin <> 'corpus';

-- uncited | most_uncited | {bad} of {total} generated answers have no source
SELECT q.question AS item, c.query_key IS NULL AS bad
FROM answers a
JOIN questions q USING (query_key)
LEFT JOIN (
    SELECT DISTINCT query_key FROM citations WHERE kind = 'cited' OR NOT getvariable('require_citation')
) c USING (query_key)
WHERE a.origin = 'generated' AND q.origin <> 'corpus';

-- unsupported | most_unsupported | {bad} of {total} generated answers are not borne out by their passages
SELECT q.question AS item, a.support < getvariable('least_support') AS bad
FROM answers a JOIN questions q USING (query_key)
WHERE a.origin = 'generated' AND q.origin NOT IN ('canary', 'corpus');

-- alike | most_alike | {bad} of {total} generated answers have one and the same text
SELECT q.question AS item, t.query_keys IS NOT NULL AS bad
FROM answers a
JOIN questions q USING (query_key)
LEFT JOIN (
    SELECT list(query_key) AS query_keys, lower(trim(answer)) AS text
    FROM answers
    WHERE origin = 'generated' AND regexp_matches(answer, '[\p{L}\p{N}]')
    GROUP BY text
    HAVING count(*) > 3
    ORDER BY count(*) DESC
    LIMIT 1
) t ON t.text = lower(trim(a.answer))
WHERE a.origin = 'generated';
