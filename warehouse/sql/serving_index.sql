-- The keys and values of the serving index, in the order of the keys. Withheld answers have keys of their own: they are
-- served only after a reviewer has approved or edited them.
-- Nothing is null: what a curated answer lacks (a model, a chunk) is an empty text. A link and metadata that there are
-- none of are left out, to keep bodies small: merging a patch drops what is null. `cite_fields` says which fields of the
-- metadata visitors see, by collection.

-- documents with what of their metadata is shown
CREATE TEMP VIEW cited_documents AS
SELECT d.*, map_from_entries(list_filter(
    map_entries(d.metadata), lambda entry: list_contains(getvariable('cite_fields')[d.collection], entry.key)
)) AS shown
FROM documents d;

-- passages
SELECT 'c:' || k.chunk_id AS key, json_merge_patch('{}', to_json({
    'chunk_id': k.chunk_id, 'document_id': k.document_id, 'title': coalesce(d.title, ''),
    'uri': coalesce(d.uri, ''), 'heading': coalesce(k.heading, ''), 'text': k.text, 'content_hash': k.content_hash, 'collection': k.collection,
    'previous': coalesce(lag(k.chunk_id) OVER document, ''), 'following': coalesce(lead(k.chunk_id) OVER document, ''),
    'tokens': coalesce(k.tokens, 0), 'position': k.position, 'url': coalesce(nullif(k.url, ''), nullif(d.url, '')),
    'metadata': CASE WHEN cardinality(d.shown) > 0 THEN d.shown END
})) AS value
FROM chunks k JOIN cited_documents d USING (collection, document_id)
WINDOW document AS (PARTITION BY k.collection, k.document_id ORDER BY k.position)
ORDER BY k.chunk_id;

-- questions that visitors asked
SELECT 'j:' || query_key AS key, '1' AS value
FROM questions
WHERE origin = 'journal'
ORDER BY query_key;

-- reviewed: what the audit said of an answer before a decision was applied to it
SELECT 'm:' || query_key AS key, to_json({
    'served': former_status = 'served', 'answer': former_answer, 'origin': former_origin
}) AS value
FROM reviews
WHERE former_status IS NOT NULL
ORDER BY query_key;

-- questions
SELECT 'p:' || q.query_key AS key, CASE WHEN cardinality(q.filters) > 0 THEN to_json({
    'question': q.question, 'query_key': q.query_key, 'collection': q.collection,
    'fingerprint': a.fingerprint, 'filters': q.filters
}) ELSE to_json({
    'question': q.question, 'query_key': q.query_key, 'collection': q.collection,
    'fingerprint': a.fingerprint
}) END AS value
FROM questions q JOIN answers a USING (query_key)
WHERE a.status = 'served'
ORDER BY q.query_key;

-- wordings: the answer of each, its text, and how many an answer has
-- fences: what must not get an answer must not get another one that says the same but for its references either
SELECT 'v:' || wording_key AS key, query_key AS value FROM wordings
UNION ALL
SELECT 't:' || wording_key, to_json({'wording': wording, 'origin': origin})::VARCHAR FROM wordings
UNION ALL
SELECT 'n:' || query_key, count(*)::VARCHAR FROM wordings GROUP BY query_key
UNION ALL
SELECT 'f:' || text_key, to_json(list(DISTINCT query_key ORDER BY query_key))::VARCHAR
FROM (
    WITH said AS (
        SELECT collection, query_key, regexp_replace(lower(answer), '\[[0-9, ]+\]|[\s.]', '', 'g') AS words
        FROM answers
        WHERE status = 'served'
    )
    SELECT text_key, query_key FROM fences
    UNION ALL
    SELECT f.text_key, twin.query_key
    FROM fences f JOIN said USING (collection, query_key) JOIN said twin USING (collection, words)
)
GROUP BY text_key;

-- sources: the part of a citation that is the same in all answers citing that passage
SELECT c.source AS key, json_merge_patch('{}', to_json({
    'document_id': c.document_id, 'title': coalesce(d.title, ''), 'uri': coalesce(d.uri, ''),
    'heading': coalesce(k.heading, ''), 'passage': coalesce(k.text, ''), 'chunk_id': coalesce(c.chunk_id, ''),
    'url': coalesce(nullif(k.url, ''), nullif(d.url, '')), 'metadata': CASE WHEN cardinality(d.shown) > 0 THEN d.shown END
})) AS value
FROM (
    SELECT DISTINCT collection, document_id, chunk_id, coalesce(chunk_id, collection || ' ' || document_id) AS source
    FROM citations
) c
JOIN cited_documents d USING (collection, document_id)
LEFT JOIN chunks k ON k.chunk_id = c.chunk_id;

-- answers, with the number, kind and source of each citation, and the filters if there are any
SELECT CASE a.status WHEN 'served' THEN 'q:' ELSE 'w:' END || a.query_key AS key, to_json({
    'question': q.question, 'collection': a.collection, 'answer': a.answer, 'origin': a.origin,
    'documents': coalesce(c.documents, []), 'model': coalesce(m.name, a.model_id, ''),
    'fingerprint': a.fingerprint, 'query_key': a.query_key,
    'generated_at': strftime(coalesce(a.generated_at, now()) AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'),
    'finish_reason': coalesce(a.finish_reason, ''), 'support': coalesce(a.support, 1.0)
}) AS value, coalesce(c.citations, []) AS citations,
    CASE WHEN cardinality(q.filters) > 0 THEN to_json(q.filters) END AS filters, until.valid_until
FROM answers a
JOIN questions q USING (query_key)
LEFT JOIN models m USING (model_id)
LEFT JOIN (
    SELECT
        query_key, list_sort(list_distinct(list(document_id))) AS documents,
        list_sort(list((number, kind, coalesce(chunk_id, collection || ' ' || document_id)))) AS citations
    FROM citations
    GROUP BY query_key
) c USING (query_key)
LEFT JOIN (
    -- a day is valid to its end, and a moment without a zone is UTC
    SELECT query_key, strftime(
        CAST(given AS TIMESTAMPTZ) AT TIME ZONE 'UTC' + CASE WHEN whole_day THEN INTERVAL 1 DAY ELSE INTERVAL 0 DAY END,
        '%Y-%m-%dT%H:%M:%SZ'
    ) AS valid_until
    FROM (
        SELECT query_key, length(told) = 10 AS whole_day, CASE
            WHEN length(told) = 10 THEN told || ' 00:00:00+00'
            WHEN regexp_matches(told, '(Z|[+-][0-9]{2}(:?[0-9]{2})?)$') THEN told
            ELSE told || '+00'
        END AS given
        FROM (SELECT query_key, trim(metadata['valid_until'][1]) AS told FROM questions)
    )
    WHERE try_cast(given AS TIMESTAMPTZ) IS NOT NULL
) until ON until.query_key = a.query_key AND a.origin = 'curated'
WHERE a.status = 'served' OR q.origin <> 'canary'
ORDER BY key;
