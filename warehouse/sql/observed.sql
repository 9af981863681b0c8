-- What the last days of the history say about traffic, for `decide`: one row. The parameter is the first day that counts.
WITH asked AS (
    SELECT *, date_trunc('hour', "at") AS hour, source IN ('exact', 'semantic') AS hit
    FROM journal_files
    WHERE kind = 'request' AND day >= $since AND source IN ('exact', 'semantic', 'live', 'bypass', 'withheld', 'unreliable')
), span AS (
    SELECT min("at") AS first, max("at") AS last FROM asked
), by_hour AS (
    SELECT extract(hour FROM hour) AS hour_of_day, count(*) AS requests FROM asked GROUP BY 1
), peak AS (
    SELECT sum(requests) AS requests FROM (SELECT requests FROM by_hour ORDER BY requests DESC LIMIT $peak_hours)
)
SELECT
    count(*) AS requests,
    any_value(epoch(s.last) - epoch(s.first)) / 3600 AS hours,
    avg(hit::DOUBLE) FILTER (release_id IS NOT NULL) AS hit_rate,
    avg(prompt_tokens) FILTER (NOT hit) AS prompt_tokens,
    avg(completion_tokens) FILTER (NOT hit) AS answer_tokens,
    quantile_cont(total_seconds, 0.5) FILTER (hit) AS hit_p50_seconds,
    quantile_cont(total_seconds, 0.99) FILTER (hit) AS hit_p99_seconds,
    avg(total_seconds - llm_seconds - coalesce(queue_seconds, 0)) FILTER (NOT hit) AS overhead_seconds,
    any_value(p.requests) / nullif(count(*), 0) * 24 / $peak_hours AS peak_factor
FROM asked, span s, peak p;
