-- What answered before, and what changed: macros over the views `…_by_release` (analysis/other_releases.py).
-- The first one stops a query at a wrong id, which would otherwise just find nothing.

CREATE MACRO memory.main.known_release(id) AS
CASE WHEN id IN ({known}) THEN id ELSE error('there is no release ' || coalesce(id, 'NULL') || ' here; FROM releases lists them') END;
COMMENT ON MACRO memory.main.known_release IS 'The id of a release, or an error if this session has no such release.';

CREATE MACRO memory.main.answers_of(id) AS TABLE
SELECT * EXCLUDE (release_id) FROM answers_by_release WHERE release_id = known_release(id);
COMMENT ON MACRO TABLE memory.main.answers_of IS 'The answers of any release, as they were audited and reviewed then.';

-- Answers that differ between two releases.
CREATE MACRO memory.main.changes(before, after) AS TABLE
WITH both_sides AS (
    SELECT
        coalesce(b.collection, a.collection) AS collection, coalesce(b.question, a.question) AS question,
        coalesce(b.query_key, a.query_key) AS query_key,
        a.answer AS answer_before, b.answer AS answer_after, a.status AS status_before, b.status AS status_after,
        b.withheld_reason AS reason_after,
        CASE
            WHEN a.query_key IS NULL THEN 'added'
            WHEN b.query_key IS NULL THEN 'dropped'
            WHEN a.answer <> b.answer THEN 'answered differently'
            WHEN a.status <> b.status THEN b.status
        END AS change,
        list_filter([
            CASE WHEN a.origin <> b.origin OR b.origin = 'edited' THEN CASE b.origin WHEN 'generated' THEN 'no longer ' || a.origin ELSE b.origin END END,
            CASE WHEN a.passages_hash IS DISTINCT FROM b.passages_hash THEN 'passages' END,
            CASE WHEN a.template_id IS DISTINCT FROM b.template_id THEN 'prompt' END,
            CASE WHEN a.model_id IS DISTINCT FROM b.model_id THEN 'model' END,
            CASE WHEN a.sampling IS DISTINCT FROM b.sampling THEN 'sampling' END
        ], lambda r: r IS NOT NULL) AS causes
    FROM answers_of(before) a
    FULL JOIN answers_of(after) b ON a.query_key = b.query_key
), changed_documents AS (
    -- documents that an answer cites and that are new, changed or gone
    SELECT c.query_key, list(DISTINCT c.document_id ORDER BY c.document_id) AS documents
    FROM (
        FROM citations_by_release WHERE release_id IN (known_release(before), known_release(after))
    ) c
    LEFT JOIN documents_by_release a ON a.release_id = before AND a.collection = c.collection AND a.document_id = c.document_id
    LEFT JOIN documents_by_release b ON b.release_id = after AND b.collection = c.collection AND b.document_id = c.document_id
    WHERE a.content_hash IS DISTINCT FROM b.content_hash
    GROUP BY c.query_key
)
SELECT
    s.change, s.collection, s.question, s.query_key, s.answer_before, s.answer_after, s.status_before,
    s.status_after,
    CASE
        WHEN s.change IN ('added', 'dropped') THEN []
        WHEN len(s.causes) > 0 THEN s.causes
        WHEN s.change IN ('served', 'withheld') THEN [coalesce(s.reason_after, 'review or audit')]
        ELSE ['generated again']
    END AS causes,
    coalesce(d.documents, []) AS documents
FROM both_sides s
LEFT JOIN changed_documents d USING (query_key)
WHERE s.change IS NOT NULL
ORDER BY s.change, s.collection, s.question;
COMMENT ON MACRO TABLE memory.main.changes IS 'Which questions were added, dropped or answered differently between two releases, and why.';
