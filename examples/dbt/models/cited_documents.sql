WITH asked AS (
    SELECT matched_key AS query_key, count(*) AS asked
    FROM {{ ref('requests') }}
    WHERE source IN ('exact', 'semantic')
    GROUP BY ALL
), answered AS (
    SELECT DISTINCT c.collection, c.document_id, c.query_key
    FROM {{ source('release', 'citations') }} c
    JOIN {{ source('release', 'answers') }} a ON a.query_key = c.query_key AND a.status = 'served'
    WHERE c.kind = 'cited'
)
SELECT
    d.collection, d.document_id, d.title, d.changed_at, count(*) AS answers, coalesce(sum(h.asked), 0) AS asked
FROM answered s
JOIN {{ source('release', 'documents') }} d ON d.collection = s.collection AND d.document_id = s.document_id
LEFT JOIN asked h ON h.query_key = s.query_key
GROUP BY ALL
ORDER BY asked DESC
