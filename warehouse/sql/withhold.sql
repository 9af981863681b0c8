-- Withholds answers, each with a reason. The variables come from the settings of the audit.
-- Curated answers are the team's own, so only empty ones are withheld.
UPDATE answers
SET status = 'withheld', withheld_reason = judged.reason
FROM (
    SELECT
        a.query_key,
        CASE
            WHEN q.origin = 'canary' AND fault IS NULL THEN 'canary, confidently answered'
            WHEN q.origin = 'canary' THEN 'canary'
            ELSE fault
        END AS reason
    FROM (
        SELECT
            a.query_key,
            CASE
                WHEN NOT regexp_matches(a.answer, '[\p{L}\p{N}]') THEN 'empty'
                WHEN a.origin <> 'generated' THEN NULL
                WHEN a.finish_reason = 'length' AND getvariable('withhold_truncated') THEN 'cut off'
                WHEN regexp_matches(
                    replace(lower(regexp_extract(a.answer, '^[^.!?\n]*')), '’', ''''), getvariable('refusals')
                ) THEN 'refusal'
                WHEN c.citations IS NULL THEN 'cites nothing'
                WHEN c.cited = 0 AND getvariable('require_citation') THEN 'cites nothing'
                WHEN a.support < getvariable('least_support') THEN 'not borne out by its passages'
            END AS fault
        FROM answers a
        LEFT JOIN (
            SELECT query_key, count(*) AS citations, count(*) FILTER (kind = 'cited') AS cited
            FROM citations GROUP BY query_key
        ) c USING (query_key)
    ) a
    JOIN questions q USING (query_key)
) judged
WHERE judged.query_key = answers.query_key AND judged.reason IS NOT NULL;
