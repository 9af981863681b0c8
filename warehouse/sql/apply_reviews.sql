-- Records what people decided about the answers of a build, beside the verdict of the audit, and applies it.
-- The variable table `decided` is made by editorial/reviewed_build.py: `verdict` is empty where an approval lapsed.
INSERT INTO reviews BY NAME
SELECT
    d.* EXCLUDE (verdict),
    a.answer AS former_answer, a.origin AS former_origin, a.status AS former_status, a.withheld_reason AS former_reason
FROM decided d
JOIN answers a USING (query_key);

UPDATE answers
SET
    status = CASE d.verdict WHEN 'reject' THEN 'withheld' ELSE 'served' END,
    withheld_reason = CASE d.verdict WHEN 'reject' THEN 'rejected by a review' END,
    origin = CASE d.verdict WHEN 'edit' THEN 'edited' ELSE answers.origin END,
    answer = CASE d.verdict WHEN 'edit' THEN d.answer ELSE answers.answer END
FROM decided d
WHERE d.query_key = answers.query_key AND d.verdict IS NOT NULL;
