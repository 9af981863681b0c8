-- "at" is a reserved word; feedback and comparisons are other kinds
SELECT
    "at" AS recorded_at, CAST(date_trunc('week', day) AS DATE) AS week, collection, question, query_key, source, matched_key,
    total_seconds, status
FROM {{ source('journal', 'history') }}
WHERE kind = 'request'
