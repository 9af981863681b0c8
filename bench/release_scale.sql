-- Synthetic tables for release_scale.py: one statement a table; {answers}, {chunks} and {documents} are counts.

-- documents
SELECT
    'main' AS collection, 'd' || i AS document_id, 'file:' || i AS uri, 'Document ' || i AS title,
    false AS titled_by_name,
    'text/plain' AS media_type, md5('d' || i) AS content_hash, 7000 AS characters,
    TIMESTAMPTZ '2026-11-20' AS read_at, '' AS url, NULL::TIMESTAMPTZ AS updated_at,
    TIMESTAMPTZ '2026-11-20' AS changed_at, NULL::MAP(VARCHAR, VARCHAR[]) AS metadata
FROM range({documents}) t(i);

-- chunks
SELECT
    'main' AS collection, md5('c' || i) AS chunk_id, 'd' || (i % {documents}) AS document_id, i AS position,
    'Heading ' || i AS heading, md5('h' || i) AS content_hash, 150 AS tokens,
    repeat('the release holds every answer with its passages and their documents and nobody waits for it ', 7)
        || md5(i::VARCHAR) AS text, '' AS url
FROM range({chunks}) t(i);

-- questions
SELECT
    'main' AS collection, md5('q' || i) AS query_key, 'What is said about subject ' || i || '?' AS question,
    'what is said about subject ' || i AS normalised, 'list' AS origin, 'q.txt:' || i AS detail,
    1.0 AS weight, []::VARCHAR[] AS tags, '' AS expected, '' AS owner, NULL::MAP(VARCHAR, VARCHAR[]) AS metadata,
    NULL::MAP(VARCHAR, VARCHAR) AS filters
FROM range({answers}) t(i);

-- retrievals
SELECT
    'main' AS collection, md5('q' || (i // 10)) AS query_key, i % 10 + 1 AS rank,
    md5('c' || ((i // 10 + i % 10) % {chunks})) AS chunk_id, 1.0 / (i % 10 + 1) AS score,
    i % 10 + 1 AS dense_rank, 0.8 - (i % 10) / 50 AS dense_score, NULL::BIGINT AS lexical_rank,
    NULL::DOUBLE AS lexical_score, i % 10 < 3 AS in_prompt
FROM range({answers} * 10) t(i);

-- answers
SELECT
    'main' AS collection, md5('q' || i) AS query_key, md5('f' || i) AS fingerprint,
    repeat('the release holds every answer with its passages and their documents and nobody waits for it ', 3)
        || i AS answer,
    'generated' AS origin, 'served' AS status, NULL::VARCHAR AS withheld_reason, 'm@1' AS model_id,
    't' AS template_id, '{{}}' AS sampling, md5('p' || i) AS passages_hash, 'stop' AS finish_reason,
    600 AS prompt_tokens, 80 AS completion_tokens, 400 AS cached_tokens, 0.9 AS support,
    0 AS invalid_citations, 'r1' AS run_id, TIMESTAMPTZ '2026-11-20' AS generated_at, 1.0 AS "seconds",
    NULL::MAP(VARCHAR, VARCHAR) AS filters
FROM range({answers}) t(i);

-- citations
SELECT
    'main' AS collection, md5('q' || (i // 3)) AS query_key, i % 3 + 1 AS number, md5('c' || c) AS chunk_id,
    'd' || (c % {documents}) AS document_id, 'cited' AS kind
FROM (SELECT i, (i // 3 + i % 3) % {chunks} AS c FROM range({answers} * 3) t(i));

-- models
SELECT 'm@1' AS model_id, 'llm' AS kind, 'm' AS name, '1' AS revision, '{{}}' AS details;

-- prompt_templates
SELECT 't' AS template_id, 'answer' AS name, 'Answer.' AS text;

-- changes
SELECT
    'main' AS collection, md5('q' || i) AS query_key, 'new' AS change, 'new question' AS reason,
    NULL::VARCHAR AS previous_fingerprint
FROM range({answers}) t(i);

-- history
SELECT
    'request' AS kind, 'r' || i AS request_id,
    TIMESTAMPTZ '2026-11-01' + to_days((i % 28)::INTEGER) + to_seconds(i % 86400) AS at,
    'main' AS collection, '/v1/answers' AS route, 'What is said about subject ' || j || '?' AS question,
    md5((CASE WHEN i % 10 < 8 THEN 'q' ELSE 'x' END) || j) AS query_key,
    CASE WHEN i % 10 < 7 THEN 'exact' WHEN i % 10 < 8 THEN 'semantic' ELSE 'live' END AS source,
    200 AS status, md5('q' || j) AS matched_key, 0.9 AS similarity,
    CASE WHEN i % 10 >= 8 THEN 'margin' END AS refusal,
    CASE WHEN i % 10 < 8 THEN 0.001 ELSE 2.5 END AS total_seconds, 80 AS completion_tokens
FROM (SELECT i, hash(i) % {answers} AS j FROM range({answers}) t(i));
