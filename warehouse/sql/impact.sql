-- What an edit of documents changes in the answers of a release, attached as `release`. The edited corpus is in the tables
-- new_chunks, new_retrievals and new_prompts, as far as a run would have made them; `edited` names the edited documents.
WITH before AS (
    SELECT r.query_key, r.chunk_id, c.document_id, c.collection, c.content_hash
    FROM retrievals r JOIN chunks c USING (chunk_id)
    WHERE r.in_prompt
), after AS (
    SELECT r.query_key, r.chunk_id, c.document_id, c.collection, c.content_hash
    FROM new_retrievals r JOIN new_chunks c USING (chunk_id)
    WHERE r.in_prompt
), lost AS (
    SELECT query_key, list(DISTINCT document_id ORDER BY document_id) AS documents
    FROM before ANTI JOIN after USING (query_key, document_id, content_hash)
    GROUP BY query_key
), gained AS (
    SELECT query_key, list(DISTINCT document_id ORDER BY document_id) AS documents
    FROM after ANTI JOIN before USING (query_key, document_id, content_hash)
    GROUP BY query_key
), cited AS (
    SELECT c.query_key, list(DISTINCT c.document_id ORDER BY c.document_id) AS documents
    FROM citations c JOIN edited e USING (collection, document_id)
    GROUP BY c.query_key
), decided AS (
    SELECT query_key, arg_max(decision, reviewed_at) AS decision FROM reviews GROUP BY query_key
)
SELECT
    a.collection, a.query_key, q.question, a.origin, a.status, d.decision,
    coalesce(c.documents, []) AS cites, coalesce(l.documents, []) AS lost, coalesce(g.documents, []) AS gained,
    p.passages_hash IS DISTINCT FROM a.passages_hash AND a.origin <> 'curated' AS other_passages,
    p.fingerprint,
    coalesce(a.prompt_tokens, 0) + coalesce(a.completion_tokens, 0) AS tokens
FROM answers a
JOIN questions q USING (query_key)
LEFT JOIN new_prompts p USING (query_key)
LEFT JOIN lost l USING (query_key)
LEFT JOIN gained g USING (query_key)
LEFT JOIN cited c USING (query_key)
LEFT JOIN decided d USING (query_key)
WHERE c.documents IS NOT NULL OR (p.passages_hash IS DISTINCT FROM a.passages_hash AND a.origin <> 'curated')
ORDER BY a.collection, coalesce(q.weight, 1) DESC, q.question;
