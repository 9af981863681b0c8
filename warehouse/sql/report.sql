-- The figures of the report, each query named by the line above it. The session's variables first_day, last_day and
-- collections (a list, or NULL for all) say what it is about; `now` is the moment of the report.

-- totals
SELECT
    count(*) AS requests,
    count(*) FILTER (source IN ('exact', 'semantic')) AS hits,
    count(*) FILTER (source IN ('exact', 'semantic')) / nullif(count(*), 0) AS hit_rate,
    count(*) FILTER (source IN ('live', 'bypass')) AS live,
    quantile_cont(total_seconds, 0.5) FILTER (source IN ('exact', 'semantic')) AS hit_seconds,
    quantile_cont(total_seconds, 0.5) FILTER (source = 'live') AS live_seconds
FROM requests;

-- by_collection
SELECT
    collection, count(*) AS requests,
    count(*) FILTER (source IN ('exact', 'semantic')) / nullif(count(*), 0) AS hit_rate,
    count(*) FILTER (source IN ('live', 'bypass')) AS live,
    count(*) FILTER (source IN ('withheld', 'unreliable', 'refused', 'failed')) AS refused
FROM requests
WHERE collection IS NOT NULL
GROUP BY collection ORDER BY requests DESC, collection;

-- saved
SELECT
    sum(tokens_saved) AS tokens, sum(gpu_seconds_saved) AS seconds, sum(cost_saved) AS cost,
    any_value(currency) AS currency
FROM gpu_time_saved;

-- spent
SELECT
    count(*) AS runs, sum(generated) AS generated, sum(completion_tokens) AS tokens, sum(generation_seconds) AS seconds,
    sum(cost) AS cost, any_value(currency) AS currency
FROM run_costs WHERE started_at::DATE BETWEEN getvariable('first_day')::DATE AND getvariable('last_day')::DATE;

-- topics
SELECT collection, topic, asked, questions, most_asked, others, nearest_question, similarity, query_keys
FROM misses_by_topic LIMIT 20;

-- asked
SELECT coalesce(CASE WHEN source IN ('exact', 'semantic') THEN matched_key END, query_key) AS query_key, count(*) AS asked
FROM requests WHERE query_key IS NOT NULL GROUP BY 1;

-- answers
SELECT
    count(*) FILTER (status = 'served') AS served, count(*) FILTER (status = 'withheld') AS withheld,
    min(generated_at) FILTER (status = 'served') AS oldest,
    -- by weight, where the team gave weights
    CASE WHEN min(w.weight) < max(w.weight)
        THEN sum(w.weight) FILTER (status = 'served') / nullif(sum(w.weight), 0)
    END AS served_weight
FROM answers
LEFT JOIN (SELECT query_key, coalesce(weight, 1) AS weight FROM questions WHERE origin <> 'canary') w USING (query_key)
WHERE getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection);

-- hit_rate
SELECT
    day,
    sum(requests) FILTER (source = 'exact') AS exact,
    sum(requests) FILTER (source = 'semantic') AS semantic,
    sum(requests) FILTER (source IN ('live', 'bypass')) AS live,
    sum(requests) FILTER (source IN ('withheld', 'unreliable', 'refused', 'failed')) AS refused
FROM hit_rate
GROUP BY day ORDER BY day;

-- latency
SELECT
    source, count(*) AS requests, quantile_cont(total_seconds, 0.5) AS p50,
    quantile_cont(total_seconds, 0.95) AS p95, quantile_cont(total_seconds, 0.99) AS p99
FROM requests
WHERE source IN ('exact', 'semantic', 'live') AND total_seconds IS NOT NULL
GROUP BY source ORDER BY p50;

-- tokens
SELECT day, sum(generated) AS generated, sum(saved) AS saved
FROM (
    SELECT day, tokens_saved AS saved, NULL AS generated FROM gpu_time_saved
    UNION ALL
    SELECT started_at::DATE, NULL, completion_tokens FROM runs
    WHERE started_at::DATE BETWEEN getvariable('first_day')::DATE AND getvariable('last_day')::DATE
        AND getvariable('collections') IS NULL -- a run is for all collections
)
GROUP BY day ORDER BY day;

-- freshness
SELECT
    sum((age <= 1)::INTEGER) AS "a day", sum((age > 1 AND age <= 7)::INTEGER) AS "a week",
    sum((age > 7 AND age <= 30)::INTEGER) AS "a month", sum((age > 30 AND age <= 90)::INTEGER) AS "3 months",
    sum((age > 90)::INTEGER) AS "older"
FROM (
    SELECT epoch(getvariable('now') - generated_at) / 86400 AS age FROM answers
    WHERE status = 'served' AND generated_at IS NOT NULL
        AND (getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection))
);

-- wordings
SELECT
    collection, origin, count(*) FILTER (verdict = 'wording') AS wordings, count(*) FILTER (verdict = 'fence') AS fences,
    count(*) FILTER (verdict = 'doubtful') AS doubtful
FROM (
    FROM rulings
    QUALIFY row_number() OVER (PARTITION BY collection, query_key, lower(text) ORDER BY person DESC, since DESC) = 1
)
WHERE (since IS NULL OR since::DATE BETWEEN getvariable('first_day')::DATE AND getvariable('last_day')::DATE)
    AND (getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection))
GROUP BY collection, origin ORDER BY collection, origin;

-- judges
FROM judge_agreement
WHERE getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection);

-- unwritten
SELECT collection, question, asked, nearest_document, score, anticipated, query_key
FROM unwritten
WHERE getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection)
LIMIT 15;

-- feedback
SELECT question, unhelpful, helpful, comments, query_key, query_key IN (SELECT query_key FROM answers) AS anticipated
FROM poor_feedback
WHERE getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection)
LIMIT 15;

-- withheld
SELECT
    a.withheld_reason AS reason, count(*) AS answers, sum(coalesce(q.weight, 1)) AS weight,
    list(q.question ORDER BY coalesce(q.weight, 1) DESC, q.question)[1] AS heaviest
FROM answers a
LEFT JOIN questions q USING (query_key)
WHERE a.status = 'withheld'
    AND (getvariable('collections') IS NULL OR list_contains(getvariable('collections'), a.collection))
GROUP BY reason ORDER BY weight DESC, answers DESC, reason;

-- gone
SELECT a.collection, q.question, a.query_key, a.withheld_reason AS detail
FROM answers a
JOIN questions q USING (query_key)
WHERE a.status = 'withheld' AND a.withheld_reason = 'a document that it rests on is withdrawn'
    AND (getvariable('collections') IS NULL OR list_contains(getvariable('collections'), a.collection))
ORDER BY coalesce(q.weight, 1) DESC, q.question;

-- expired
SELECT q.collection, q.question, q.query_key, 'it was valid until ' || told AS detail
FROM (SELECT *, trim(metadata['valid_until'][1]) AS told FROM questions) q
JOIN answers a USING (query_key)
WHERE a.origin = 'curated' AND a.status = 'served'
    AND TRY_CAST(told AS TIMESTAMPTZ) + CASE WHEN length(told) = 10 THEN INTERVAL 1 DAY ELSE INTERVAL 0 DAY END < getvariable('now')
    AND (getvariable('collections') IS NULL OR list_contains(getvariable('collections'), q.collection))
ORDER BY told, q.question;

-- publications
SELECT published_at, action, release_id, published_by, reason
FROM publications
WHERE published_at::DATE BETWEEN getvariable('first_day')::DATE AND getvariable('last_day')::DATE
ORDER BY published_at DESC LIMIT 12;

-- decided
SELECT
    reviewer, count(*) FILTER (decision = 'approve') AS approved, count(*) FILTER (decision = 'edit') AS edited,
    count(*) FILTER (decision = 'reject') AS rejected, count(*) FILTER (decision = 'reconsider') AS reconsidered
FROM decisions
WHERE decided_at::DATE BETWEEN getvariable('first_day')::DATE AND getvariable('last_day')::DATE
    AND (getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection))
GROUP BY reviewer ORDER BY count(*) DESC, reviewer;

-- runs
SELECT run_id, started_at, status, questions, generated, reused, completion_tokens, tokens_a_second, cost, currency
FROM run_costs
WHERE started_at IS NULL OR started_at::DATE BETWEEN getvariable('first_day')::DATE AND getvariable('last_day')::DATE
ORDER BY run_id DESC LIMIT 12;

-- findings
SELECT collection, finding, count, whole, examples
FROM findings
WHERE getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection)
ORDER BY collection, count DESC, finding;

-- checks
SELECT name, passed, explanation FROM checks ORDER BY passed, name;

-- before
SELECT m.release_id
FROM release_manifests m
WHERE m.attached AND m.release_id = (
    SELECT coalesce((SELECT replaced FROM publications WHERE release_id = c.release_id ORDER BY published_at DESC LIMIT 1), c.previous)
    FROM release_manifests c
    WHERE c.release_id = getvariable('release')
);

-- changed
SELECT change, causes, count(*) AS answers
FROM changes(getvariable('previous'), getvariable('release'))
WHERE getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection)
GROUP BY ALL ORDER BY answers DESC, change, causes;

-- changed_answers
SELECT collection, change, question, query_key, causes, documents, status_after
FROM changes(getvariable('previous'), getvariable('release'))
WHERE change <> 'added' AND (getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection))
ORDER BY change, question LIMIT 20;

-- set_aside
SELECT question, reason, expected_hits, last_asked FROM set_aside
WHERE getvariable('collections') IS NULL OR list_contains(getvariable('collections'), collection)
ORDER BY reason, expected_hits DESC NULLS LAST, last_asked NULLS FIRST, question LIMIT 20;
