-- Answers that a person should look at: the withheld ones first, then those that are served with a doubt.
SELECT
    a.collection, a.query_key, a.fingerprint, q.question, a.answer, a.status,
    coalesce(a.withheld_reason, d.reasons) AS reason, a.origin, a.support, a.finish_reason,
    c.evidence, '' AS decision, '' AS new_answer, '' AS reviewer, '' AS note
FROM answers a
JOIN questions q USING (query_key)
LEFT JOIN (
    SELECT query_key, fingerprint, string_agg(reason, '; ' ORDER BY reason) AS reasons
    FROM doubts GROUP BY ALL
) d USING (query_key, fingerprint)
LEFT JOIN (
    SELECT query_key, string_agg('[' || number || '] ' || coalesce(title, '') || coalesce(': ' || passage, ''), E'\n\n' ORDER BY number) AS evidence
    FROM cited_passages GROUP BY query_key
) c USING (query_key)
ANTI JOIN reviews r ON r.query_key = a.query_key AND r.fingerprint = a.fingerprint
WHERE q.origin <> 'canary' AND (a.status = 'withheld' OR d.reasons IS NOT NULL)
ORDER BY a.status DESC, reason, q.question;
