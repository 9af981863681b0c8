-- The answers to judge, and what is done with the verdicts. The rules are in rag/prompting/answer_rules.py, which the
-- service applies to live answers too.

-- answers
SELECT
    a.query_key, a.origin, a.answer, a.finish_reason, a.support,
    coalesce(c.cited, 0) AS cited, coalesce(c.citations, 0) - coalesce(c.cited, 0) AS consulted
FROM answers a
LEFT JOIN (
    SELECT query_key, count(*) AS citations, count(*) FILTER (kind = 'cited') AS cited
    FROM citations GROUP BY query_key
) c USING (query_key);

-- verdicts: the table `faults` has a row for each answer that fails
UPDATE answers
SET status = 'withheld', withheld_reason = judged.reason
FROM (
    SELECT
        a.query_key,
        CASE
            WHEN q.origin = 'canary' AND f.fault IS NULL THEN 'canary, confidently answered'
            WHEN q.origin = 'canary' THEN 'canary'
            ELSE f.fault
        END AS reason
    FROM answers a
    JOIN questions q USING (query_key)
    LEFT JOIN faults f USING (query_key)
) judged
WHERE judged.query_key = answers.query_key AND judged.reason IS NOT NULL;
