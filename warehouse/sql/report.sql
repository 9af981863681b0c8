-- The figures of the report, each query named by the line above it. $days is how far back the history is read.

-- totals
SELECT
    count(*) AS requests,
    count(*) FILTER (source IN ('exact', 'semantic')) AS hits,
    count(*) FILTER (source IN ('exact', 'semantic')) / nullif(count(*), 0) AS hit_rate,
    quantile_cont(total_seconds, 0.5) FILTER (source IN ('exact', 'semantic')) AS hit_seconds,
    quantile_cont(total_seconds, 0.5) FILTER (source = 'live') AS live_seconds,
    min(day) AS first_day, max(day) AS last_day
FROM requests WHERE day >= getvariable('since');

-- answers
SELECT
    count(*) FILTER (status = 'served') AS served, count(*) FILTER (status = 'withheld') AS withheld,
    min(generated_at) FILTER (status = 'served') AS oldest,
    -- by weight, where the team gave weights
    CASE WHEN min(w.weight) < max(w.weight)
        THEN sum(w.weight) FILTER (status = 'served') / nullif(sum(w.weight), 0)
    END AS served_weight
FROM answers
LEFT JOIN (SELECT query_key, coalesce(weight, 1) AS weight FROM questions WHERE origin <> 'canary') w USING (query_key);

-- saved
SELECT
    sum(tokens_saved) AS tokens, sum(gpu_seconds_saved) AS seconds, sum(cost_saved) AS cost,
    any_value(currency) AS currency
FROM gpu_time_saved WHERE day >= getvariable('since');

-- hit_rate
SELECT
    day,
    sum(requests) FILTER (source = 'exact') AS exact,
    sum(requests) FILTER (source = 'semantic') AS semantic,
    sum(requests) FILTER (source IN ('live', 'bypass')) AS live,
    sum(requests) FILTER (source IN ('withheld', 'unreliable', 'refused', 'failed')) AS refused
FROM hit_rate WHERE day >= getvariable('since')
GROUP BY day ORDER BY day;

-- latency
SELECT
    source, count(*) AS requests, quantile_cont(total_seconds, 0.5) AS p50,
    quantile_cont(total_seconds, 0.95) AS p95, quantile_cont(total_seconds, 0.99) AS p99
FROM requests
WHERE day >= getvariable('since') AND source IN ('exact', 'semantic', 'live') AND total_seconds IS NOT NULL
GROUP BY source ORDER BY p50;

-- tokens
SELECT day, sum(generated) AS generated, sum(saved) AS saved
FROM (
    SELECT day, tokens_saved AS saved, NULL AS generated FROM gpu_time_saved
    UNION ALL
    SELECT CAST(started_at AS DATE), NULL, completion_tokens FROM runs WHERE started_at IS NOT NULL
)
WHERE day >= getvariable('since')
GROUP BY day ORDER BY day;

-- freshness
SELECT
    sum((age <= 1)::INTEGER) AS "a day", sum((age > 1 AND age <= 7)::INTEGER) AS "a week",
    sum((age > 7 AND age <= 30)::INTEGER) AS "a month", sum((age > 30 AND age <= 90)::INTEGER) AS "3 months",
    sum((age > 90)::INTEGER) AS "older"
FROM (
    SELECT epoch(getvariable('now') - generated_at) / 86400 AS age FROM answers
    WHERE status = 'served' AND generated_at IS NOT NULL
);

-- misses
SELECT question, asked, last_asked, nearest_question, similarity FROM frequent_misses LIMIT 15;

-- wordings
SELECT
    collection, origin, count(*) FILTER (verdict = 'wording') AS wordings, count(*) FILTER (verdict = 'fence') AS fences,
    count(*) FILTER (verdict = 'doubtful') AS doubtful
FROM (
    FROM rulings
    QUALIFY row_number() OVER (PARTITION BY collection, query_key, lower(text) ORDER BY person DESC, since DESC) = 1
)
GROUP BY collection, origin ORDER BY collection, origin;

-- judges
FROM judge_agreement;

-- unwritten
SELECT question, asked, nearest_document, score, anticipated FROM unwritten LIMIT 15;

-- feedback
SELECT question, unhelpful, helpful, comments FROM poor_feedback LIMIT 10;

-- withheld
SELECT
    a.withheld_reason AS reason, count(*) AS answers, sum(coalesce(q.weight, 1)) AS weight,
    list(q.question ORDER BY coalesce(q.weight, 1) DESC, q.question)[1] AS heaviest
FROM answers a
LEFT JOIN questions q USING (query_key)
WHERE a.status = 'withheld'
GROUP BY reason ORDER BY weight DESC, answers DESC, reason;

-- runs
SELECT run_id, started_at, questions, generated, reused, completion_tokens, tokens_a_second, cost, currency
FROM run_costs ORDER BY run_id DESC LIMIT 10;

-- findings
SELECT collection, finding, count, whole, examples FROM findings ORDER BY collection, count DESC, finding;

-- checks
SELECT name, passed, explanation FROM checks ORDER BY passed, name;
