-- Applies the decisions of reviewers to answers that still have the same fingerprint.
UPDATE answers
SET
    status = CASE r.decision WHEN 'reject' THEN 'withheld' ELSE 'served' END,
    withheld_reason = CASE r.decision WHEN 'reject' THEN 'rejected by a review' END,
    origin = CASE r.decision WHEN 'edit' THEN 'edited' ELSE answers.origin END,
    answer = CASE r.decision WHEN 'edit' THEN r.answer ELSE answers.answer END
FROM reviews r
WHERE r.query_key = answers.query_key AND r.fingerprint = answers.fingerprint;
