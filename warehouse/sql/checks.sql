-- The checks of the release audit. The line above each gives its name, its setting and a sentence; the query returns
-- its population: item, whether it counts against the release, and what the question is worth. Only the team's own questions are counted: what
-- visitors typed or the model proposed can neither stop a release nor help a bad one through. Their answers are withheld
-- one by one.

-- not served | least_served | {bad} of {total} questions have no served answer
SELECT q.question AS item, a.query_key IS NULL AS bad, coalesce(q.weight, 1) AS weight
FROM questions q
LEFT JOIN (SELECT query_key FROM answers WHERE status = 'served') a USING (query_key)
WHERE q.origin NOT IN ('canary', 'corpus', 'journal')
    AND q.query_key NOT IN (SELECT query_key FROM set_aside); -- those beyond the budget wait for the next night

-- empty | most_empty | {bad} of {total} generated answers are empty
SELECT q.question AS item, NOT regexp_matches(a.answer, '[\p{L}\p{N}]') AS bad, coalesce(q.weight, 1) AS weight
FROM answers a JOIN questions q USING (query_key)
WHERE a.origin = 'generated' AND q.origin NOT IN ('corpus', 'journal');

-- truncated | most_truncated | {bad} of {total} generated answers were cut off
SELECT q.question AS item, a.finish_reason IS NOT DISTINCT FROM 'length' AS bad, coalesce(q.weight, 1) AS weight
FROM answers a JOIN questions q USING (query_key)
WHERE a.origin = 'generated' AND q.origin NOT IN ('corpus', 'journal');

-- uncited | most_uncited | {bad} of {total} generated answers have no source
SELECT q.question AS item, c.query_key IS NULL AS bad, coalesce(q.weight, 1) AS weight
FROM answers a
JOIN questions q USING (query_key)
LEFT JOIN (
    SELECT DISTINCT query_key FROM citations WHERE kind = 'cited' OR NOT getvariable('require_citation')
) c USING (query_key)
WHERE a.origin = 'generated' AND q.origin NOT IN ('corpus', 'journal');

-- unsupported | most_unsupported | {bad} of {total} generated answers are not borne out by their passages
SELECT q.question AS item, a.support < getvariable('least_support') AS bad, coalesce(q.weight, 1) AS weight
FROM answers a JOIN questions q USING (query_key)
WHERE a.origin = 'generated' AND q.origin NOT IN ('canary', 'corpus', 'journal');

-- alike | most_alike | {bad} of {total} generated answers have one and the same text
WITH told AS (
    SELECT q.question, coalesce(q.weight, 1) AS weight, a.query_key, lower(trim(a.answer)) AS text, a.withheld_reason IS NOT DISTINCT FROM 'refusal' AS refusal
    FROM answers a JOIN questions q USING (query_key)
    WHERE a.origin = 'generated' AND q.origin NOT IN ('corpus', 'journal')
)
SELECT a.question AS item, t.text IS NOT NULL AS bad, a.weight
FROM told a
LEFT JOIN (
    SELECT text
    FROM told
    WHERE NOT refusal AND regexp_matches(text, '[\p{L}\p{N}]')
    GROUP BY text
    HAVING count(*) > 3
    ORDER BY count(*) DESC
    LIMIT 1
) t ON t.text = a.text AND NOT a.refusal;
