-- Views that a release carries. sql/session_views.sql holds those that also need the history.
-- References are proven, so LEFT JOIN gives the same rows as JOIN; it keeps the order of the joins, and with it the first
-- hundred rows of retrieval_scores come twenty times sooner.

CREATE VIEW answers_with_citations AS
SELECT
    a.collection, q.question, a.answer, a.status, a.withheld_reason, a.origin, a.support,
    m.name AS model, a.generated_at, a.query_key, a.fingerprint,
    coalesce(c.citations, []) AS citations
FROM answers a
LEFT JOIN questions q USING (query_key)
LEFT JOIN models m USING (model_id)
LEFT JOIN (
    -- the number comes first, so the lists sort by it; sorting within the aggregate takes three times as long
    SELECT c.query_key, list_sort(list({
        'number': c.number, 'kind': c.kind, 'document_id': c.document_id, 'title': d.title, 'uri': d.uri,
        'heading': k.heading, 'chunk_id': c.chunk_id
    })) AS citations
    FROM citations c
    LEFT JOIN documents d USING (collection, document_id)
    LEFT JOIN chunks k ON k.chunk_id = c.chunk_id
    GROUP BY c.query_key
) c USING (query_key);
COMMENT ON VIEW answers_with_citations IS 'Each answer with its question and its citations as a list.';
COMMENT ON COLUMN answers_with_citations.citations IS 'number, kind, document_id, title, uri, heading, chunk_id; cited_passages has the texts.';

CREATE VIEW cited_passages AS
SELECT
    c.collection, q.question, c.number, c.kind, d.title, k.heading, k.text AS passage, d.uri,
    c.document_id, c.chunk_id, c.query_key
FROM citations c
LEFT JOIN questions q USING (query_key)
LEFT JOIN documents d ON d.collection = c.collection AND d.document_id = c.document_id
LEFT JOIN chunks k ON k.chunk_id = c.chunk_id;
COMMENT ON VIEW cited_passages IS 'One row a citation, with the question and the text of the passage.';

CREATE VIEW freshness AS
SELECT
    collection, status, origin, count(*) AS answers,
    min(generated_at) AS oldest, median(generated_at) AS half_are_newer_than, max(generated_at) AS newest
FROM answers
GROUP BY ALL;
COMMENT ON VIEW freshness IS 'When the answers were generated, by collection, status and origin.';

CREATE VIEW suspicious_answers AS
SELECT a.collection, q.question, a.answer, a.status, x.reason, a.support, a.finish_reason, a.query_key, a.fingerprint
FROM answers a
LEFT JOIN questions q USING (query_key)
JOIN (
    SELECT query_key, withheld_reason AS reason FROM answers WHERE status = 'withheld'
    UNION ALL
    SELECT query_key, reason FROM doubts
    UNION ALL
    SELECT query_key, 'cut off' FROM answers WHERE finish_reason = 'length' AND status = 'served'
) x USING (query_key);
COMMENT ON VIEW suspicious_answers IS 'Answers that are withheld, doubtful or cut off, one row a reason.';

CREATE VIEW retrieval_scores AS
SELECT
    r.collection, q.question, r.rank, r.in_prompt, r.score, r.dense_rank, r.dense_score, r.lexical_rank,
    r.lexical_score, c.kind AS citation, d.title, k.heading, k.text AS passage, r.chunk_id, r.query_key
FROM retrievals r
LEFT JOIN questions q USING (query_key)
LEFT JOIN chunks k USING (chunk_id)
LEFT JOIN documents d ON d.collection = k.collection AND d.document_id = k.document_id
LEFT JOIN citations c ON c.query_key = r.query_key AND c.chunk_id = r.chunk_id;
COMMENT ON VIEW retrieval_scores IS 'What retrieval found for each question, with scores and whether the answer cites it.';

CREATE VIEW run_times AS
SELECT
    r.run_id, s.stage, s.started_at, s.seconds, s.rows,
    s.rows / nullif(s.seconds, 0) AS rows_a_second
FROM runs r JOIN run_stages s USING (run_id);
COMMENT ON VIEW run_times IS 'The stages of each run with their times.';

CREATE VIEW reuse AS
SELECT collection, change, reason, count(*) AS answers
FROM changes
GROUP BY ALL;
COMMENT ON VIEW reuse IS 'How many answers were reused, regenerated, new or dropped, and for which reason.';
