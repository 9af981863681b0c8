-- Everything that waits for a person, one row a question; also the one that the parameter names, waiting or not, whose
-- reasons may be NULL. The caller registers:
--   decided     what holds for each question: collection, query_key, decision, fingerprint, approved, reviewed_at
--   former      the audit's verdict on the answers that a decision was applied to: query_key and former_…
--   withdrawn   documents: collection, document_id
--   listed      questions of visitors about which a person decided whether to list them: query_key
--   twins       questions that have the answer of another, unless a person ruled on the two: query_key, detail
--   conflicts   questions on which reviewers disagree: query_key, detail
--   asked_otherwise   texts that may be wordings of a question: query_key, detail
WITH audited AS (
    SELECT
        a.collection, a.query_key, a.fingerprint, q.question, q.origin AS asked_by, a.model_id, a.support,
        coalesce(q.owner, '') AS owner, coalesce(q.weight, 1) AS weight,
        coalesce(f.former_answer, a.answer) AS answer, coalesce(f.former_origin, a.origin) AS origin,
        CASE WHEN f.query_key IS NULL THEN a.status ELSE f.former_status END AS status,
        CASE WHEN f.query_key IS NULL THEN a.withheld_reason ELSE f.former_reason END AS withheld_reason,
        d.decision, d.reviewed_at,
        CASE d.decision WHEN 'approve' THEN list_contains(d.approved, a.fingerprint) ELSE d.fingerprint = a.fingerprint END AS settled
    FROM release.main.answers a -- as the audit left them: a withdrawal alone waits for nobody
    JOIN questions q USING (query_key)
    LEFT JOIN former f USING (query_key)
    LEFT JOIN decided d ON d.query_key = a.query_key AND d.collection = a.collection
    WHERE q.origin <> 'canary'
), open AS (
    -- nobody has decided, or an approval lapsed
    SELECT * FROM audited WHERE decision IS NULL OR (decision = 'approve' AND NOT settled)
), votes AS (
    SELECT
        coalesce(h.matched_key, h.query_key) AS query_key, f.helpful, f.comment, f.recorded_at
    FROM feedback f
    JOIN requests h USING (request_id, collection)
    WHERE h.source IN ('exact', 'semantic')
), reasons AS (
    SELECT query_key, 'withheld' AS kind, withheld_reason AS detail FROM open WHERE status = 'withheld'
    UNION ALL
    SELECT g.query_key, 'nowhere written', coalesce('the nearest document is ' || g.nearest_title, '')
    FROM gaps g
    JOIN open USING (query_key)
    WHERE g.reason = 'no_passage'
    UNION ALL
    SELECT
        d.query_key, CASE WHEN d.reason LIKE 'a document that it names%' THEN 'document changed' ELSE 'doubtful' END,
        d.reason
    FROM doubts d
    JOIN open USING (query_key)
    WHERE d.reason NOT LIKE '% before; its passages or model changed'
    UNION ALL
    SELECT
        query_key, CASE decision WHEN 'approve' THEN 'approval lapsed' WHEN 'edit' THEN 'edited before' ELSE 'rejected before' END,
        ''
    FROM audited
    WHERE NOT settled
    UNION ALL
    SELECT a.query_key, 'document withdrawn', string_agg(DISTINCT c.document_id, ', ' ORDER BY c.document_id)
    FROM audited a
    JOIN citations c USING (query_key)
    JOIN withdrawn w ON w.collection = c.collection AND w.document_id = c.document_id
    WHERE (a.origin = 'curated' OR a.decision = 'edit') AND a.decision IS DISTINCT FROM 'reject'
    GROUP BY a.query_key
    UNION ALL
    SELECT
        a.query_key, 'poor feedback',
        count(*) FILTER (NOT helpful) || ' of ' || count(helpful) || ' found it unhelpful'
            || coalesce(': ' || string_agg(DISTINCT comment, ' / '), '')
    FROM audited a
    JOIN votes v USING (query_key)
    WHERE v.recorded_at > coalesce(a.reviewed_at, '-infinity'::TIMESTAMPTZ) AND a.decision IS DISTINCT FROM 'reject'
    GROUP BY a.query_key
    HAVING count(*) FILTER (NOT helpful) > 0 AND count(*) FILTER (NOT helpful) >= count(*) FILTER (helpful)
    UNION ALL
    SELECT query_key, 'asked by visitors', '' FROM audited ANTI JOIN listed USING (query_key) WHERE asked_by = 'journal'
    UNION ALL
    SELECT query_key, 'asked otherwise', detail FROM asked_otherwise
    UNION ALL
    SELECT query_key, 'same answer', detail FROM twins
    UNION ALL
    SELECT query_key, 'conflict', detail FROM conflicts
)
SELECT
    a.collection, a.query_key, a.fingerprint, a.question, a.answer, a.status, a.origin, a.support, a.model_id,
    a.owner, a.weight,
    list({'kind': r.kind, 'detail': coalesce(r.detail, '')} ORDER BY r.kind, r.detail) FILTER (r.kind IS NOT NULL) AS reasons
FROM audited a
LEFT JOIN reasons r USING (query_key)
WHERE r.kind IS NOT NULL OR a.query_key = ?
GROUP BY ALL
ORDER BY a.question, a.query_key;
