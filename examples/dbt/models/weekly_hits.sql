SELECT
    week, collection, count(*) AS asked, count(*) FILTER (source IN ('exact', 'semantic')) AS hits,
    hits / asked AS hit_rate, quantile_cont(total_seconds, 0.95) AS p95_seconds
FROM {{ ref('requests') }}
GROUP BY week, collection
