-- Two releases side by side over the questions that both answer, canaries and curated pairs apart: one row a side. The
-- views `…_by_release` are those of analysis/other_releases.py, with the sides as releases. Pace and tokens are those of
-- the runs that generated the answers, so reused answers count as what they once took.
WITH generated AS (
    SELECT a.*, s.side
    FROM (VALUES ('before'), ('after')) s (side)
    JOIN answers_by_release a ON a.release_id = s.side
    WHERE a.origin = 'generated' AND a.withheld_reason IS DISTINCT FROM 'canary'
), common AS (
    FROM generated WHERE query_key IN (SELECT query_key FROM generated GROUP BY query_key HAVING count(*) = 2)
), pace AS (
    SELECT
        side, sum(r.generation_seconds) / nullif(sum(r.completion_tokens), 0) AS seconds_a_token,
        sum(r.batched_completion_tokens) / nullif(sum(r.completion_tokens), 0) AS batched
    FROM (
        SELECT 'before' AS side, run_id, generation_seconds, completion_tokens, batched_completion_tokens FROM before_runs
        UNION ALL
        SELECT 'after', run_id, generation_seconds, completion_tokens, batched_completion_tokens FROM after_runs
    ) r
    WHERE (side, run_id) IN (SELECT (side, run_id) FROM common)
    GROUP BY side
)
SELECT
    c.side, count(*) AS answers, count(*) FILTER (status = 'served') AS served,
    count(*) FILTER (withheld_reason = 'refusal') AS refusals,
    count(*) FILTER (status = 'withheld' AND withheld_reason IS DISTINCT FROM 'refusal') AS otherwise_withheld,
    avg(support) AS support, avg(length(answer)) AS characters,
    avg(len(list_filter(citations, lambda x: x.kind = 'cited'))) AS cited,
    sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
    sum(completion_tokens) * any_value(p.seconds_a_token) AS seconds, coalesce(any_value(p.batched), 0) AS batched
FROM common c
LEFT JOIN pace p ON p.side = c.side
GROUP BY c.side;
