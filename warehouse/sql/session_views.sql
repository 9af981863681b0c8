-- Views of an analyst's session: the history, the current release, and both together. They are made in
-- each session, since a release can't know where the history lies. `journal_files` is the history as
-- Arrow reads it, `cost_settings` one row with gpu_hour and currency.

COMMENT ON TABLE cost_settings IS 'The section [cost] of the settings.';
COMMENT ON COLUMN cost_settings.gpu_hour IS 'Cost of one hour of the machine that runs the language model.';
COMMENT ON COLUMN cost_settings.currency IS 'Currency of gpu_hour.';

COMMENT ON VIEW temp.main.journal_files IS 'The history as its files have it; the view history is easier to query.';

-- `at` is a reserved word: whoever typed it without quotes would get a syntax error.
CREATE VIEW history AS SELECT * RENAME ("at" AS recorded_at) FROM journal_files;
COMMENT ON VIEW history IS 'All that the online service recorded: kind is request, feedback or comparison.';
COMMENT ON COLUMN history.kind IS 'request, feedback or comparison.';
COMMENT ON COLUMN history.request_id IS 'Name of the request; feedback has the one of the answer that it is about.';
COMMENT ON COLUMN history.recorded_at IS 'When (UTC).';
COMMENT ON COLUMN history.collection IS 'The collection that was asked.';
COMMENT ON COLUMN history.route IS 'The HTTP route.';
COMMENT ON COLUMN history.question IS 'What the user typed, redacted as the settings say.';
COMMENT ON COLUMN history.query_key IS 'Hash of the collection and the normalised question.';
COMMENT ON COLUMN history.source IS 'exact, semantic, live, refused, failed or bypass.';
COMMENT ON COLUMN history.cache_status IS 'The Cache-Status header (RFC 9211).';
COMMENT ON COLUMN history.confidence IS 'How sure the service was, from 0 to 1.';
COMMENT ON COLUMN history.matched_key IS 'The anticipated question that was served or was the best candidate.';
COMMENT ON COLUMN history.similarity IS 'Cosine similarity to that candidate.';
COMMENT ON COLUMN history.refusal IS 'Why a semantic candidate was not taken, or why the request was refused.';
COMMENT ON COLUMN history.answer IS 'The answer, for live ones.';
COMMENT ON COLUMN history.prompt IS 'The prompt as JSON, for live answers.';
COMMENT ON COLUMN history.citations IS 'The citations as JSON, for live answers.';
COMMENT ON COLUMN history.model IS 'The model that answered.';
COMMENT ON COLUMN history.finish_reason IS 'Why the model ended.';
COMMENT ON COLUMN history.prompt_tokens IS 'Tokens of the prompt.';
COMMENT ON COLUMN history.completion_tokens IS 'Tokens of the answer.';
COMMENT ON COLUMN history.total_seconds IS 'From the request to the last byte.';
COMMENT ON COLUMN history.embed_seconds IS 'Time to embed the question.';
COMMENT ON COLUMN history.retrieve_seconds IS 'Time to retrieve passages.';
COMMENT ON COLUMN history.queue_seconds IS 'Time in the queue before the model.';
COMMENT ON COLUMN history.llm_seconds IS 'Time of the model.';
COMMENT ON COLUMN history.release_id IS 'The release that was served.';
COMMENT ON COLUMN history.status IS 'HTTP status.';
COMMENT ON COLUMN history.fingerprint IS 'The answer''s fingerprint.';
COMMENT ON COLUMN history.key_id IS 'The API key, by its name.';
COMMENT ON COLUMN history.streamed IS 'Whether the answer was streamed.';
COMMENT ON COLUMN history.helpful IS 'The verdict of a feedback.';
COMMENT ON COLUMN history.comment IS 'The words of a feedback, redacted as the settings say.';
COMMENT ON COLUMN history.agrees IS 'Whether a live answer agreed with the semantic hit (comparison).';
COMMENT ON COLUMN history.day IS 'The day (UTC); the history is partitioned by it.';

CREATE VIEW requests AS SELECT * FROM history WHERE kind = 'request';
COMMENT ON VIEW requests IS 'The history without feedback and comparisons.';

CREATE VIEW hit_rate AS
SELECT
    day, collection, source, count(*) AS requests,
    count(*) / sum(count(*)) OVER (PARTITION BY day, collection) AS share
FROM requests
GROUP BY day, collection, source;
COMMENT ON VIEW hit_rate IS 'Requests by day, collection and source, and their share of the day.';
COMMENT ON COLUMN hit_rate.day IS 'The day (UTC).';
COMMENT ON COLUMN hit_rate.collection IS 'The collection that was asked.';
COMMENT ON COLUMN hit_rate.source IS 'exact, semantic, live, refused, failed or bypass.';
COMMENT ON COLUMN hit_rate.requests IS 'Requests that this source answered.';
COMMENT ON COLUMN hit_rate.share IS 'Their share of the requests to the collection on that day, from 0 to 1.';

CREATE VIEW latency AS
SELECT
    day, source, count(*) AS requests,
    quantile_cont(total_seconds, 0.5) AS p50_seconds, quantile_cont(total_seconds, 0.95) AS p95_seconds,
    quantile_cont(total_seconds, 0.99) AS p99_seconds, avg(llm_seconds) AS llm_seconds,
    avg(queue_seconds) AS queue_seconds
FROM requests
GROUP BY ALL;
COMMENT ON VIEW latency IS 'Seconds to the last byte, by day and source.';
COMMENT ON COLUMN latency.day IS 'The day (UTC).';
COMMENT ON COLUMN latency.source IS 'exact, semantic, live, refused, failed or bypass.';
COMMENT ON COLUMN latency.requests IS 'Requests that this source answered.';
COMMENT ON COLUMN latency.p50_seconds IS 'Half of the requests took at most so long, from the request to the last byte.';
COMMENT ON COLUMN latency.p95_seconds IS '95 of 100 requests took at most so long.';
COMMENT ON COLUMN latency.p99_seconds IS '99 of 100 requests took at most so long.';
COMMENT ON COLUMN latency.llm_seconds IS 'Mean time of the model; empty where it was not asked.';
COMMENT ON COLUMN latency.queue_seconds IS 'Mean time in the queue before the model.';

CREATE VIEW frequent_misses AS
SELECT
    h.collection, mode(h.question) AS question, count(*) AS asked, max(h.recorded_at) AS last_asked,
    any_value(q.question) AS nearest_question, max(h.similarity) AS similarity, h.query_key
FROM requests h
LEFT JOIN questions q ON q.query_key = h.matched_key
WHERE h.source IN ('live', 'refused', 'failed')
    AND coalesce(h.status, 200) NOT BETWEEN 400 AND 422 -- what was refused as no question at all
    AND h.query_key NOT IN (SELECT query_key FROM answers WHERE status = 'served')
GROUP BY h.collection, h.query_key
ORDER BY asked DESC;
COMMENT ON VIEW frequent_misses IS 'Questions that were not anticipated and still are not, most frequent first.';
COMMENT ON COLUMN frequent_misses.collection IS 'The collection that was asked.';
COMMENT ON COLUMN frequent_misses.question IS 'What was typed, in the most frequent of its spellings.';
COMMENT ON COLUMN frequent_misses.asked IS 'How many times.';
COMMENT ON COLUMN frequent_misses.last_asked IS 'When it was last asked (UTC).';
COMMENT ON COLUMN frequent_misses.nearest_question IS 'An anticipated question that came near; empty if none did.';
COMMENT ON COLUMN frequent_misses.similarity IS 'The highest cosine similarity to an anticipated question.';
COMMENT ON COLUMN frequent_misses.query_key IS 'Hash of the collection and the normalised question.';

CREATE VIEW near_misses AS
SELECT
    h.collection, mode(h.question) AS question, any_value(q.question) AS candidate, count(*) AS asked,
    avg(h.similarity) AS similarity, mode(h.refusal) AS refusal, h.query_key, h.matched_key
FROM requests h
JOIN questions q ON q.query_key = h.matched_key
WHERE h.source = 'live' AND h.refusal IS NOT NULL
GROUP BY h.collection, h.query_key, h.matched_key
ORDER BY similarity DESC;
COMMENT ON VIEW near_misses IS 'Questions with a semantic candidate that was not taken, most similar first.';
COMMENT ON COLUMN near_misses.collection IS 'The collection that was asked.';
COMMENT ON COLUMN near_misses.question IS 'What was typed, in the most frequent of its spellings.';
COMMENT ON COLUMN near_misses.candidate IS 'The anticipated question that it nearly hit.';
COMMENT ON COLUMN near_misses.asked IS 'How many times.';
COMMENT ON COLUMN near_misses.similarity IS 'Mean cosine similarity to the candidate.';
COMMENT ON COLUMN near_misses.refusal IS 'The most frequent reason why the candidate was not taken.';
COMMENT ON COLUMN near_misses.query_key IS 'Hash of the collection and the normalised question that was asked.';
COMMENT ON COLUMN near_misses.matched_key IS 'The candidate, as the table questions names it.';

CREATE VIEW poor_feedback AS
WITH verdicts AS (
    SELECT
        f.collection, f.helpful, f.comment, h.source, h.question, h.answer,
        -- of a live answer the matched question is only the nearest one: the feedback is not about that
        coalesce(
            CASE WHEN h.source IN ('exact', 'semantic') THEN h.matched_key END, h.query_key, f.matched_key, f.query_key
        ) AS query_key
    FROM history f
    LEFT JOIN requests h USING (request_id, collection) -- callers choose request ids, another collection's too
    WHERE f.kind = 'feedback'
)
SELECT
    v.collection, coalesce(any_value(q.question), mode(v.question)) AS question,
    coalesce(any_value(a.answer), any_value(v.answer)) AS answer,
    count(*) FILTER (NOT v.helpful) AS unhelpful, count(*) FILTER (v.helpful) AS helpful,
    list(DISTINCT v.comment) FILTER (v.comment IS NOT NULL) AS comments, mode(v.source) AS source, v.query_key
FROM verdicts v
LEFT JOIN questions q USING (query_key)
LEFT JOIN answers a USING (query_key)
GROUP BY v.collection, v.query_key
HAVING count(*) FILTER (NOT v.helpful) > 0
ORDER BY unhelpful DESC, helpful;
COMMENT ON VIEW poor_feedback IS 'Answers that did not help somebody, worst first.';
COMMENT ON COLUMN poor_feedback.collection IS 'The collection that was asked.';
COMMENT ON COLUMN poor_feedback.question IS 'The anticipated question, or what was typed if the answer was a live one.';
COMMENT ON COLUMN poor_feedback.answer IS 'The answer as the release has it, or the live one.';
COMMENT ON COLUMN poor_feedback.unhelpful IS 'How many found that it did not help.';
COMMENT ON COLUMN poor_feedback.helpful IS 'How many found that it did.';
COMMENT ON COLUMN poor_feedback.comments IS 'What they wrote, redacted as the settings say.';
COMMENT ON COLUMN poor_feedback.source IS 'Where the answer mostly came from: exact, semantic or live.';
COMMENT ON COLUMN poor_feedback.query_key IS 'The question, as the other tables name it.';

CREATE VIEW semantic_comparisons AS
SELECT
    day, collection, count(*) AS compared, count(*) FILTER (NOT agrees) AS disagreed,
    count(*) FILTER (NOT agrees) / count(*) AS error_rate
FROM history
WHERE kind = 'comparison'
GROUP BY ALL;
COMMENT ON VIEW semantic_comparisons IS 'Semantic hits that were also answered live, and how many disagreed.';
COMMENT ON COLUMN semantic_comparisons.day IS 'The day (UTC).';
COMMENT ON COLUMN semantic_comparisons.collection IS 'The collection that was asked.';
COMMENT ON COLUMN semantic_comparisons.compared IS 'Semantic hits that were also answered live.';
COMMENT ON COLUMN semantic_comparisons.disagreed IS 'How many of them the live answer did not agree with.';
COMMENT ON COLUMN semantic_comparisons.error_rate IS 'The share that disagreed, from 0 to 1.';

CREATE VIEW run_costs AS
SELECT
    r.run_id, r.started_at, r.finished_at, r.status, r.documents, r.questions, r.generated, r.reused, r.dropped,
    r.rejected, r.prompt_tokens, r.completion_tokens, r.cached_tokens, r.generation_seconds,
    r.completion_tokens / nullif(r.generation_seconds, 0) AS tokens_a_second,
    r.generation_seconds / 3600 * c.gpu_hour AS cost,
    r.generation_seconds / 3600 * c.gpu_hour / nullif(r.generated, 0) * 1000 AS cost_of_1000_answers,
    c.currency
FROM runs r, cost_settings c;
COMMENT ON VIEW run_costs IS 'Runs with tokens, times and cost.';
COMMENT ON COLUMN run_costs.run_id IS 'The run; ids sort by time.';
COMMENT ON COLUMN run_costs.started_at IS 'When it started (UTC).';
COMMENT ON COLUMN run_costs.finished_at IS 'When its last stage ended (UTC).';
COMMENT ON COLUMN run_costs.status IS 'How it ended.';
COMMENT ON COLUMN run_costs.documents IS 'Documents read.';
COMMENT ON COLUMN run_costs.questions IS 'Anticipated questions.';
COMMENT ON COLUMN run_costs.generated IS 'Answers generated in this run.';
COMMENT ON COLUMN run_costs.reused IS 'Answers known from earlier runs.';
COMMENT ON COLUMN run_costs.dropped IS 'Answers of the previous release whose question is gone.';
COMMENT ON COLUMN run_costs.rejected IS 'What could not be used.';
COMMENT ON COLUMN run_costs.prompt_tokens IS 'Tokens of all prompts of this run.';
COMMENT ON COLUMN run_costs.completion_tokens IS 'Tokens generated in this run.';
COMMENT ON COLUMN run_costs.cached_tokens IS 'Prompt tokens that came from the prefix cache.';
COMMENT ON COLUMN run_costs.generation_seconds IS 'Time that the language model worked.';
COMMENT ON COLUMN run_costs.tokens_a_second IS 'Tokens generated in each second of that time.';
COMMENT ON COLUMN run_costs.cost_of_1000_answers IS 'What a thousand generated answers cost at this rate.';
COMMENT ON COLUMN run_costs.currency IS 'The currency of the costs, as [cost] names it.';
COMMENT ON COLUMN run_costs.cost IS 'generation_seconds at the price of [cost] gpu_hour.';

CREATE VIEW gpu_time_saved AS
WITH speed AS (
    SELECT sum(generation_seconds) / nullif(sum(completion_tokens), 0) AS seconds_a_token FROM runs
), typical AS (
    SELECT avg(completion_tokens) AS tokens FROM answers WHERE origin = 'generated'
), hits AS (
    SELECT h.day, coalesce(a.completion_tokens, t.tokens) AS tokens
    FROM requests h
    CROSS JOIN typical t
    LEFT JOIN answers a ON a.query_key = h.matched_key AND a.origin = 'generated'
    WHERE h.source IN ('exact', 'semantic')
)
SELECT
    day, count(*) AS hits, sum(tokens) AS tokens_saved, sum(tokens) * any_value(s.seconds_a_token) AS gpu_seconds_saved,
    sum(tokens) * any_value(s.seconds_a_token) / 3600 * any_value(c.gpu_hour) AS cost_saved,
    any_value(c.currency) AS currency
FROM hits, speed s, cost_settings c
GROUP BY day;
COMMENT ON VIEW gpu_time_saved IS 'What the hits of each day would have cost the model, at the speed of the batch runs (a lower bound).';
COMMENT ON COLUMN gpu_time_saved.day IS 'The day (UTC).';
COMMENT ON COLUMN gpu_time_saved.hits IS 'Requests that got a prepared answer, exact or semantic.';
COMMENT ON COLUMN gpu_time_saved.tokens_saved IS 'Tokens that the model would have generated for them.';
COMMENT ON COLUMN gpu_time_saved.gpu_seconds_saved IS 'Time that the model would have taken, at the speed of the batch runs.';
COMMENT ON COLUMN gpu_time_saved.cost_saved IS 'That time at the price of [cost] gpu_hour.';
COMMENT ON COLUMN gpu_time_saved.currency IS 'The currency of the costs, as [cost] names it.';

CREATE VIEW contents AS
SELECT schema_name AS origin, name, kind, comment FROM (
    SELECT database_name AS schema_name, table_name AS name, 'table' AS kind, comment FROM duckdb_tables()
    UNION ALL
    SELECT database_name, view_name, 'view', comment FROM duckdb_views() WHERE NOT internal
)
WHERE comment IS NOT NULL
ORDER BY kind, name;
COMMENT ON VIEW contents IS 'All tables and views of this session, and what they hold.';
COMMENT ON COLUMN contents.origin IS 'release for what the release holds, memory and temp for what the session adds.';
COMMENT ON COLUMN contents.name IS 'Name of the table or view.';
COMMENT ON COLUMN contents.kind IS 'table or view.';
COMMENT ON COLUMN contents.comment IS 'What it holds.';
