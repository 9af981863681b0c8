SELECT r.week, r.collection, mode(r.question) AS question, count(*) AS asked
FROM {{ ref('requests') }} r
WHERE r.source IN ('live', 'bypass', 'unreliable') AND r.question IS NOT NULL
    AND r.query_key NOT IN (SELECT query_key FROM {{ source('release', 'answers') }})
GROUP BY r.week, r.collection, r.query_key
ORDER BY r.week DESC, asked DESC
