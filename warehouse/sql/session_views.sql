-- Views of an analyst's session over the history and the current release. Each session creates them, since a release
-- doesn't know where the history is. `journal_files` is the history as an Arrow dataset, `cost_settings` one row with
-- gpu_hour and currency.

COMMENT ON TABLE cost_settings IS 'The settings of the section [cost].';
COMMENT ON COLUMN cost_settings.gpu_hour IS 'Cost of one hour of the machine that runs the language model.';
COMMENT ON COLUMN cost_settings.prompt_million IS 'Price of a million prompt tokens.';
COMMENT ON COLUMN cost_settings.completion_million IS 'Price of a million generated tokens.';
COMMENT ON COLUMN cost_settings.batch_price IS 'Share of these prices that a Batch API asks.';
COMMENT ON COLUMN cost_settings.currency IS 'Currency of the other columns.';

COMMENT ON VIEW temp.main.journal_files IS 'The raw files of the history; the view history is easier to query.';

-- `at` is a reserved word: without quotes it would be a syntax error. The variables narrow
-- all views of the history.
CREATE VIEW history AS
SELECT * RENAME ("at" AS recorded_at)
FROM journal_files
WHERE (getvariable('first_day') IS NULL OR day >= getvariable('first_day')::DATE)
    AND (getvariable('last_day') IS NULL OR day <= getvariable('last_day')::DATE)
    -- feedback may lack its collection; the view feedback completes it
    AND (getvariable('collections') IS NULL OR collection IS NULL OR list_contains(getvariable('collections'), collection));
COMMENT ON VIEW history IS 'Everything the online service recorded: requests, feedback and comparisons. SET VARIABLE first_day, last_day or collections (a list) narrows it, and all views of it.';
COMMENT ON COLUMN history.kind IS 'request, feedback or comparison.';
COMMENT ON COLUMN history.request_id IS 'Id of the request; for feedback, of the request it is about.';
COMMENT ON COLUMN history.recorded_at IS 'When it was recorded (UTC).';
COMMENT ON COLUMN history.collection IS 'The collection of the request.';
COMMENT ON COLUMN history.route IS 'The HTTP route.';
COMMENT ON COLUMN history.question IS 'What the user typed, redacted according to the settings.';
COMMENT ON COLUMN history.query_key IS 'Hash of the collection, the normalised question and its filters.';
COMMENT ON COLUMN history.source IS 'exact, semantic, live, withheld, unreliable, refused, failed or bypass.';
COMMENT ON COLUMN history.cache_status IS 'The Cache-Status header (RFC 9211).';
COMMENT ON COLUMN history.confidence IS 'Confidence of the service, from 0 to 1.';
COMMENT ON COLUMN history.matched_key IS 'The anticipated question whose answer was served, or the best candidate.';
COMMENT ON COLUMN history.similarity IS 'Cosine similarity to that candidate.';
COMMENT ON COLUMN history.refusal IS 'Why the semantic candidate was not used, or why the request was refused.';
COMMENT ON COLUMN history.answer IS 'The text of a live answer.';
COMMENT ON COLUMN history.prompt IS 'The prompt of a live answer, as JSON.';
COMMENT ON COLUMN history.citations IS 'The citations of a live answer, as JSON.';
COMMENT ON COLUMN history.model IS 'The model that answered.';
COMMENT ON COLUMN history.finish_reason IS 'Why generation ended.';
COMMENT ON COLUMN history.prompt_tokens IS 'Number of tokens in the prompt.';
COMMENT ON COLUMN history.completion_tokens IS 'Number of tokens in the answer.';
COMMENT ON COLUMN history.total_seconds IS 'Seconds from the request to the last byte.';
COMMENT ON COLUMN history.embed_seconds IS 'Seconds to embed the question.';
COMMENT ON COLUMN history.retrieve_seconds IS 'Seconds to retrieve passages.';
COMMENT ON COLUMN history.queue_seconds IS 'Seconds in the queue for the model.';
COMMENT ON COLUMN history.llm_seconds IS 'Seconds the model took.';
COMMENT ON COLUMN history.release_id IS 'The current release at that time.';
COMMENT ON COLUMN history.status IS 'HTTP status.';
COMMENT ON COLUMN history.fingerprint IS 'The answer''s fingerprint.';
COMMENT ON COLUMN history.key_id IS 'Name of the API key.';
COMMENT ON COLUMN history.streamed IS 'Whether the answer was streamed.';
COMMENT ON COLUMN history.helpful IS 'Whether the answer helped (feedback).';
COMMENT ON COLUMN history.comment IS 'The user''s comment (feedback), redacted according to the settings.';
COMMENT ON COLUMN history.agrees IS 'Whether a live answer agreed with the semantic hit (comparison).';
COMMENT ON COLUMN history.asker IS 'Who asked: the name of the key, or a hash of the client''s address that changes every day.';
COMMENT ON COLUMN history.passage_score IS 'Score of the best passage of a live answer.';
COMMENT ON COLUMN history.filters IS 'The values of the collection''s filters that the question was asked with, as JSON.';
COMMENT ON COLUMN history.wording_key IS 'The wording of that candidate that was hit or was nearest, a key in answer_wordings.';
COMMENT ON COLUMN history.day IS 'The day (UTC); the history is partitioned by it.';

CREATE VIEW requests AS SELECT * FROM history WHERE kind = 'request';
COMMENT ON VIEW requests IS 'The history without feedback and comparisons.';

CREATE VIEW hit_rate AS
SELECT
    day, collection, source, count(*) AS requests,
    count(*) / sum(count(*)) OVER (PARTITION BY day, collection) AS share
FROM requests
GROUP BY day, collection, source;
COMMENT ON VIEW hit_rate IS 'Requests and their share, by day, collection and source.';
COMMENT ON COLUMN hit_rate.day IS 'The day (UTC).';
COMMENT ON COLUMN hit_rate.collection IS 'The collection of the request.';
COMMENT ON COLUMN hit_rate.source IS 'exact, semantic, live, withheld, unreliable, refused, failed or bypass.';
COMMENT ON COLUMN hit_rate.requests IS 'Number of requests with this source.';
COMMENT ON COLUMN hit_rate.share IS 'Share of the day''s requests to the collection, from 0 to 1.';

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
COMMENT ON COLUMN latency.source IS 'exact, semantic, live, withheld, unreliable, refused, failed or bypass.';
COMMENT ON COLUMN latency.requests IS 'Number of requests with this source.';
COMMENT ON COLUMN latency.p50_seconds IS 'Median seconds from the request to the last byte.';
COMMENT ON COLUMN latency.p95_seconds IS '95th percentile.';
COMMENT ON COLUMN latency.p99_seconds IS '99th percentile.';
COMMENT ON COLUMN latency.llm_seconds IS 'Mean seconds the model took; empty if it was not called.';
COMMENT ON COLUMN latency.queue_seconds IS 'Mean seconds in the queue for the model.';

CREATE VIEW frequent_misses AS
SELECT
    h.collection, mode(h.question) AS question, count(*) AS asked, max(h.recorded_at) AS last_asked,
    arg_max(q.question, h.similarity) FILTER (isfinite(h.similarity)) AS nearest_question,
    max(h.similarity) FILTER (isfinite(h.similarity) AND q.question IS NOT NULL) AS similarity, h.query_key,
    any_value(h.filters) AS filters
FROM requests h
LEFT JOIN questions q ON q.query_key = h.matched_key
WHERE h.source IN ('live', 'bypass', 'unreliable', 'refused', 'failed')
    AND (coalesce(h.status, 200) NOT BETWEEN 400 AND 422 OR h.status = 404) -- invalid questions; 404 was looked up only
    -- what is anticipated and withheld, or its wordings, waits for a person and not for a run
    AND h.query_key NOT IN (SELECT query_key FROM answers UNION ALL SELECT w.wording_key FROM wordings w JOIN answers USING (query_key))
GROUP BY h.collection, h.query_key
ORDER BY asked DESC;
COMMENT ON VIEW frequent_misses IS 'Questions that were asked and have no answer yet, served or withheld, most frequent first.';
COMMENT ON COLUMN frequent_misses.collection IS 'The collection of the request.';
COMMENT ON COLUMN frequent_misses.question IS 'The question in its most frequent spelling.';
COMMENT ON COLUMN frequent_misses.asked IS 'How often it was asked.';
COMMENT ON COLUMN frequent_misses.last_asked IS 'When it was last asked (UTC).';
COMMENT ON COLUMN frequent_misses.nearest_question IS 'The most similar anticipated question; empty if there is none.';
COMMENT ON COLUMN frequent_misses.similarity IS 'Cosine similarity to that question.';
COMMENT ON COLUMN frequent_misses.query_key IS 'Hash of the collection, the normalised question and its filters.';
COMMENT ON COLUMN frequent_misses.filters IS 'The filters that it was asked with, as JSON.';

-- An answer that says that it does not know is a sign by itself, so the score may be a little higher then.
CREATE VIEW gaps AS
WITH told AS (
    SELECT
        k.*, q.question, q.filters, a.status, a.withheld_reason, a.fingerprint,
        a.withheld_reason IN ('refusal', 'cites nothing', 'not borne out by its passages') AS unsure,
        a.query_key IS NULL OR a.status = 'withheld' AND a.withheld_reason IN (
            'empty', 'only a tool call', 'cut off', 'refusal', 'cites nothing', 'not borne out by its passages'
        ) AS failed
    FROM coverage k
    JOIN questions q USING (query_key)
    LEFT JOIN answers a USING (query_key)
    WHERE q.origin <> 'canary'
        AND coalesce(a.origin, 'generated') = 'generated'
        AND k.query_key NOT IN (SELECT query_key FROM reviews WHERE decision IN ('approve', 'edit'))
), decided AS (
    SELECT
        *,
        CASE
            WHEN coalesce(judged < 0.5, score < threshold * CASE WHEN unsure THEN 1.15 ELSE 1 END) THEN 'no_passage'
            WHEN failed THEN 'model_failed'
        END AS reason
    FROM told
)
SELECT
    d.collection, d.question, d.reason, d.score, d.threshold, d.judged, c.document_id AS nearest_document,
    n.title AS nearest_title, d.status, d.withheld_reason, d.query_key, d.filters
FROM decided d
LEFT JOIN retrievals r ON r.query_key = d.query_key AND r.rank = 1
LEFT JOIN chunks c ON c.chunk_id = r.chunk_id
LEFT JOIN documents n ON n.collection = c.collection AND n.document_id = c.document_id
WHERE d.reason IS NOT NULL;
COMMENT ON VIEW gaps IS 'Anticipated questions that no passage answers, and those whose answer the model failed.';
COMMENT ON COLUMN gaps.collection IS 'The collection of the question.';
COMMENT ON COLUMN gaps.question IS 'The anticipated question as it was written.';
COMMENT ON COLUMN gaps.reason IS 'no_passage: the corpus does not say it; model_failed: a passage fits, and the answer is withheld all the same.';
COMMENT ON COLUMN gaps.score IS 'Score of the best passage in the last ranking.';
COMMENT ON COLUMN gaps.threshold IS 'Below this score no passage fits.';
COMMENT ON COLUMN gaps.judged IS 'Highest probability that a passage answers the question, if the language model judged.';
COMMENT ON COLUMN gaps.nearest_document IS 'The document of the best passage.';
COMMENT ON COLUMN gaps.nearest_title IS 'Its title.';
COMMENT ON COLUMN gaps.status IS 'served, or withheld from visitors; empty if there is no answer.';
COMMENT ON COLUMN gaps.withheld_reason IS 'Why the answer is withheld; empty if it is served.';
COMMENT ON COLUMN gaps.query_key IS 'The question''s key in all tables.';
COMMENT ON COLUMN gaps.filters IS 'The filters of the question, by field.';

CREATE VIEW unwritten AS
WITH asked AS (
    SELECT
        coalesce(CASE WHEN source IN ('exact', 'semantic') THEN matched_key END, query_key) AS query_key,
        count(*) AS asked, max(recorded_at) AS last_asked
    FROM requests
    WHERE query_key IS NOT NULL
    GROUP BY ALL
), thresholds AS (
    SELECT collection, max(threshold) AS threshold FROM coverage GROUP BY collection
), live AS (
    SELECT
        h.collection, mode(h.question) AS question, max(h.passage_score) AS score, any_value(t.threshold) AS threshold,
        mode(json_extract_string(h.citations, '$[0].document_id')) AS nearest_document,
        bool_or(h.source = 'unreliable') AS unsure, h.query_key, any_value(h.filters) AS filters
    FROM requests h
    JOIN thresholds t USING (collection)
    WHERE h.source IN ('live', 'unreliable') AND h.passage_score IS NOT NULL AND h.question IS NOT NULL
        AND h.query_key NOT IN (SELECT query_key FROM questions)
    GROUP BY h.collection, h.query_key
), found AS (
    SELECT
        collection, question, score, threshold, judged, nearest_document, true AS anticipated, query_key,
        to_json(filters)::VARCHAR AS filters
    FROM gaps
    WHERE reason = 'no_passage'
    UNION ALL
    SELECT collection, question, score, threshold, NULL, nearest_document, false, query_key, filters
    FROM live
    WHERE score < threshold * CASE WHEN unsure THEN 1.15 ELSE 1 END
)
SELECT
    f.collection, f.question, coalesce(a.asked, 0) AS asked, a.last_asked, f.nearest_document, f.score, f.threshold,
    f.judged, f.anticipated, f.query_key, f.filters
FROM found f
LEFT JOIN asked a USING (query_key)
ORDER BY asked DESC, f.score, f.question;
COMMENT ON VIEW unwritten IS 'Asked, and nowhere written: questions that no passage of the corpus answers, asked most first.';
COMMENT ON COLUMN unwritten.collection IS 'The collection of the question.';
COMMENT ON COLUMN unwritten.question IS 'The question, anticipated or as it was typed.';
COMMENT ON COLUMN unwritten.asked IS 'How often it was asked; 0 if it is only anticipated.';
COMMENT ON COLUMN unwritten.last_asked IS 'When it was last asked (UTC).';
COMMENT ON COLUMN unwritten.nearest_document IS 'The document of the best passage, or of the first passage of the live answer.';
COMMENT ON COLUMN unwritten.score IS 'Score of the best passage.';
COMMENT ON COLUMN unwritten.threshold IS 'Below this score no passage fits.';
COMMENT ON COLUMN unwritten.judged IS 'Highest probability that a passage answers the question, if the language model judged.';
COMMENT ON COLUMN unwritten.anticipated IS 'Whether the question is in the release; the others were answered live.';
COMMENT ON COLUMN unwritten.query_key IS 'The question''s key in all tables.';
COMMENT ON COLUMN unwritten.filters IS 'The filters that it is asked with, as JSON.';

CREATE VIEW near_misses AS
SELECT
    h.collection, mode(h.question) AS question, any_value(q.question) AS candidate, count(*) AS asked,
    avg(h.similarity) AS similarity, mode(h.refusal) AS refusal, h.query_key, h.matched_key,
    any_value(h.filters) AS filters
FROM requests h
JOIN questions q ON q.query_key = h.matched_key
WHERE h.source IN ('live', 'bypass', 'refused') AND h.refusal IS NOT NULL
GROUP BY h.collection, h.query_key, h.matched_key
ORDER BY similarity DESC;
COMMENT ON VIEW near_misses IS 'Questions whose semantic candidate was not used, most similar first.';
COMMENT ON COLUMN near_misses.collection IS 'The collection of the request.';
COMMENT ON COLUMN near_misses.question IS 'The question in its most frequent spelling.';
COMMENT ON COLUMN near_misses.candidate IS 'The anticipated question that was nearly hit.';
COMMENT ON COLUMN near_misses.asked IS 'How often it was asked.';
COMMENT ON COLUMN near_misses.similarity IS 'Mean cosine similarity to the candidate.';
COMMENT ON COLUMN near_misses.refusal IS 'The most frequent reason why the candidate was not used.';
COMMENT ON COLUMN near_misses.query_key IS 'Hash of the collection, the normalised question that was asked and its filters.';
COMMENT ON COLUMN near_misses.filters IS 'The filters of both questions, as JSON.';
COMMENT ON COLUMN near_misses.matched_key IS 'The candidate''s query_key in questions.';

CREATE VIEW judge_agreement AS
WITH people AS (
    SELECT * FROM rulings WHERE person AND verdict IN ('wording', 'fence')
    QUALIFY row_number() OVER (PARTITION BY collection, query_key, text ORDER BY since DESC) = 1
), judges AS (
    SELECT * FROM rulings WHERE NOT person AND confidence IS NOT NULL
)
SELECT
    p.collection, j.approved_by AS judge, count(*) AS decided,
    count(*) FILTER ((j.confidence >= 0.5) = (p.verdict = 'wording')) AS agreed, agreed / decided AS agreement
FROM people p
ASOF JOIN judges j
    ON p.collection = j.collection AND p.query_key = j.query_key AND p.text = j.text AND p.since >= j.since
WHERE j.verdict = 'doubtful' -- of what the judge was sure about people look at what is wrong alone
GROUP BY p.collection, j.approved_by
ORDER BY p.collection, decided DESC, judge;
COMMENT ON VIEW judge_agreement IS 'How often people decided as the judge of wordings leaned, where they decided what it was not sure about.';
COMMENT ON COLUMN judge_agreement.collection IS 'The collection of the answers.';
COMMENT ON COLUMN judge_agreement.judge IS 'The certified verifier, or the model that judged.';
COMMENT ON COLUMN judge_agreement.decided IS 'How many texts both ruled about.';
COMMENT ON COLUMN judge_agreement.agreed IS 'How many of them a person ruled about as the judge leaned.';
COMMENT ON COLUMN judge_agreement.agreement IS 'The share of those, from 0 to 1.';
CREATE VIEW wording_hits AS
SELECT
    h.collection, q.question, coalesce(w.wording, q.question) AS wording, coalesce(w.origin, q.origin) AS origin,
    count(*) FILTER (h.source = 'exact') AS exact, count(*) FILTER (h.source = 'semantic') AS semantic,
    h.matched_key AS query_key, coalesce(h.wording_key, h.matched_key) AS wording_key
FROM requests h
JOIN questions q ON q.query_key = h.matched_key
LEFT JOIN wordings w ON w.wording_key = h.wording_key
WHERE h.source IN ('exact', 'semantic')
GROUP BY ALL
ORDER BY exact + semantic DESC;
COMMENT ON VIEW wording_hits IS 'Which wordings of the answers were hit, and how often.';
COMMENT ON COLUMN wording_hits.collection IS 'The collection of the requests.';
COMMENT ON COLUMN wording_hits.question IS 'The question whose answer was given.';
COMMENT ON COLUMN wording_hits.wording IS 'The wording that was hit: the question itself or a further one.';
COMMENT ON COLUMN wording_hits.origin IS 'Where the wording comes from.';
COMMENT ON COLUMN wording_hits.exact IS 'Requests that asked in these very words.';
COMMENT ON COLUMN wording_hits.semantic IS 'Requests that asked the same in others.';
COMMENT ON COLUMN wording_hits.query_key IS 'The question''s key in all tables.';
COMMENT ON COLUMN wording_hits.wording_key IS 'The wording''s key in answer_wordings.';

CREATE VIEW wordings_wanted AS
WITH known AS (
    SELECT query_key, count(*) AS wordings FROM wordings GROUP BY query_key
), given AS (
    SELECT query_key, sum(exact + semantic)::BIGINT AS hits FROM wording_hits GROUP BY query_key
)
SELECT
    n.collection, n.candidate AS question, sum(n.asked)::BIGINT AS missed, count(*) AS phrasings,
    list(n.question ORDER BY n.asked DESC, n.similarity DESC)[:5] AS asked_as,
    1 + coalesce(any_value(k.wordings), 0) AS wordings, coalesce(any_value(g.hits), 0) AS hits, n.matched_key AS query_key
FROM near_misses n
LEFT JOIN known k ON k.query_key = n.matched_key
LEFT JOIN given g ON g.query_key = n.matched_key
ANTI JOIN questions q ON q.query_key = n.query_key -- by now it has an answer
ANTI JOIN wordings w ON w.wording_key = n.query_key
ANTI JOIN fences f ON f.text_key = n.query_key AND f.query_key = n.matched_key
WHERE n.similarity >= 0.5 -- below, hardly any wants the answer
GROUP BY n.collection, n.matched_key, n.candidate
ORDER BY missed DESC, phrasings DESC, question;
COMMENT ON VIEW wordings_wanted IS 'Answers that visitors nearly got but did not, most often missed first: which of asked_as are further wordings?';
COMMENT ON COLUMN wordings_wanted.collection IS 'The collection of the question.';
COMMENT ON COLUMN wordings_wanted.question IS 'The question whose answer was nearest.';
COMMENT ON COLUMN wordings_wanted.missed IS 'Requests that were near it and did not get it.';
COMMENT ON COLUMN wordings_wanted.phrasings IS 'How many different texts they were.';
COMMENT ON COLUMN wordings_wanted.asked_as IS 'The five most frequent of these texts; some may want another answer.';
COMMENT ON COLUMN wordings_wanted.wordings IS 'How many wordings the answer has, the question itself included.';
COMMENT ON COLUMN wordings_wanted.hits IS 'Requests that got the answer, in the same time.';
COMMENT ON COLUMN wordings_wanted.query_key IS 'The question''s key in all tables.';

CREATE VIEW same_answers AS
WITH told AS (
    SELECT
        a.collection, a.query_key, q.question, coalesce(q.weight, 1) AS weight, coalesce(to_json(q)->>'filters', '{}') AS asked_with,
        lower(trim(a.answer)) AS text
    FROM answers a
    JOIN questions q USING (query_key)
    WHERE a.status = 'served' AND q.origin NOT IN ('canary', 'journal')
), marked AS (
    -- hashes: windows over texts and lists take much longer
    SELECT
        t.collection, t.query_key, {'less': -t.weight, 'key': t.query_key} AS place, hash(t.asked_with) AS asked_with,
        hash(t.text) AS text, coalesce(c.sources, hash(t.query_key)) AS sources
    FROM told t
    LEFT JOIN (
        SELECT query_key, hash(list(DISTINCT chunk_id ORDER BY chunk_id)) AS sources FROM citations WHERE chunk_id IS NOT NULL GROUP BY query_key
    ) c USING (query_key)
), alike AS (
    SELECT collection, asked_with, text, min(place).key AS first FROM marked GROUP BY ALL
), near AS (
    SELECT collection, asked_with, sources, min(place).key AS first FROM marked GROUP BY ALL
), beside AS (
    SELECT m.query_key, CASE WHEN a.first <> m.query_key THEN a.first ELSE n.first END AS other_key
    FROM marked m
    JOIN alike a USING (collection, asked_with, text)
    JOIN near n USING (collection, asked_with, sources)
    WHERE a.first <> m.query_key OR n.first <> m.query_key
), worded AS (
    SELECT *, regexp_extract_all(text, '[\p{L}\p{N}]+') AS words
    FROM told
    WHERE query_key IN (SELECT query_key FROM beside UNION ALL SELECT other_key FROM beside)
)
SELECT
    b.collection, b.query_key, b.question, o.query_key AS other_key, o.question AS other_question,
    CASE WHEN o.text = b.text THEN 'the same answer' ELSE 'nearly the same answer' END AS how
FROM beside p
JOIN worded b ON b.query_key = p.query_key
JOIN worded o ON o.query_key = p.other_key
-- four of five of their words are in both
WHERE o.text = b.text OR list_unique(b.words) + list_unique(o.words) >= 1.8 * list_unique(list_concat(b.words, o.words));
COMMENT ON VIEW same_answers IS 'Questions that have the same answer as another, or nearly so: a person may join the two.';
COMMENT ON COLUMN same_answers.collection IS 'The collection of both.';
COMMENT ON COLUMN same_answers.query_key IS 'The question''s key in all tables.';
COMMENT ON COLUMN same_answers.question IS 'The question.';
COMMENT ON COLUMN same_answers.other_key IS 'The key of the other question, which is worth more or came first.';
COMMENT ON COLUMN same_answers.other_question IS 'The other question.';
COMMENT ON COLUMN same_answers.how IS 'the same answer, or nearly the same answer.';

CREATE VIEW feedback AS
SELECT f.* REPLACE (coalesce(f.collection, r.collection) AS collection)
FROM history f
LEFT JOIN (
    -- callers choose request ids: one that two collections share tells nothing
    SELECT request_id, any_value(collection) AS collection
    FROM history
    WHERE kind = 'request' AND request_id IN (SELECT request_id FROM history WHERE kind = 'feedback' AND collection IS NULL)
    GROUP BY request_id
    HAVING count(DISTINCT collection) = 1
) r USING (request_id)
WHERE f.kind = 'feedback';
COMMENT ON VIEW feedback IS 'The feedback of the history; one that names no collection has that of its request.';

CREATE VIEW poor_feedback AS
WITH verdicts AS (
    SELECT
        f.collection, f.helpful, f.comment, h.source, h.question, h.answer,
        -- for a live answer, the matched question is only the nearest one, and the feedback is not about it
        coalesce(
            CASE WHEN h.source IN ('exact', 'semantic') THEN h.matched_key END, h.query_key, f.matched_key, f.query_key
        ) AS query_key
    FROM feedback f
    LEFT JOIN requests h USING (request_id, collection) -- callers choose request ids, so that two collections may share one
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
COMMENT ON VIEW poor_feedback IS 'Answers with unhelpful feedback, worst first.';
COMMENT ON COLUMN poor_feedback.collection IS 'The collection of the request.';
COMMENT ON COLUMN poor_feedback.question IS 'The anticipated question, or what was typed for a live answer.';
COMMENT ON COLUMN poor_feedback.answer IS 'The answer in the release, or the live answer.';
COMMENT ON COLUMN poor_feedback.unhelpful IS 'How many users found it unhelpful.';
COMMENT ON COLUMN poor_feedback.helpful IS 'How many users found it helpful.';
COMMENT ON COLUMN poor_feedback.comments IS 'The users'' comments, redacted according to the settings.';
COMMENT ON COLUMN poor_feedback.source IS 'The most frequent source of the answer: exact, semantic or live.';
COMMENT ON COLUMN poor_feedback.query_key IS 'The question''s key in all tables.';

CREATE VIEW semantic_comparisons AS
SELECT
    day, collection, count(*) AS compared, count(*) FILTER (NOT agrees) AS disagreed,
    count(*) FILTER (NOT agrees) / count(*) AS error_rate
FROM history
WHERE kind = 'comparison'
GROUP BY ALL;
COMMENT ON VIEW semantic_comparisons IS 'Semantic hits that were also answered live, and how often the two disagreed.';
COMMENT ON COLUMN semantic_comparisons.day IS 'The day (UTC).';
COMMENT ON COLUMN semantic_comparisons.collection IS 'The collection of the request.';
COMMENT ON COLUMN semantic_comparisons.compared IS 'Semantic hits that were also answered live.';
COMMENT ON COLUMN semantic_comparisons.disagreed IS 'How many of them the live answer contradicted.';
COMMENT ON COLUMN semantic_comparisons.error_rate IS 'Share that disagreed, from 0 to 1.';

CREATE VIEW run_costs AS
SELECT
    r.run_id, r.shadow, r.started_at, r.finished_at, r.status, r.documents, r.questions, r.generated, r.reused, r.dropped,
    r.rejected, r.prompt_tokens, r.completion_tokens, r.cached_tokens, r.generation_seconds,
    (r.completion_tokens - coalesce(r.batched_completion_tokens, 0)) / nullif(r.generation_seconds, 0)
        AS tokens_a_second,
    r.generation_seconds / 3600 * c.gpu_hour
        + (r.prompt_tokens - (1 - c.batch_price) * coalesce(r.batched_prompt_tokens, 0)) / 1e6 * c.prompt_million
        + (r.completion_tokens - (1 - c.batch_price) * coalesce(r.batched_completion_tokens, 0)) / 1e6
            * c.completion_million AS cost,
    cost / nullif(r.generated, 0) * 1000 AS cost_of_1000_answers,
    c.currency
FROM runs r, cost_settings c;
COMMENT ON VIEW run_costs IS 'Runs with their tokens, times and costs.';
COMMENT ON COLUMN run_costs.run_id IS 'The run; ids sort by time.';
COMMENT ON COLUMN run_costs.shadow IS 'The name of a shadow build, which publishes nothing.';
COMMENT ON COLUMN run_costs.started_at IS 'When the run started (UTC).';
COMMENT ON COLUMN run_costs.finished_at IS 'When the last stage ended (UTC).';
COMMENT ON COLUMN run_costs.status IS 'How the run ended.';
COMMENT ON COLUMN run_costs.documents IS 'Documents read.';
COMMENT ON COLUMN run_costs.questions IS 'Anticipated questions.';
COMMENT ON COLUMN run_costs.generated IS 'Answers generated in this run.';
COMMENT ON COLUMN run_costs.reused IS 'Answers known from earlier runs.';
COMMENT ON COLUMN run_costs.dropped IS 'Answers of the previous release whose question is gone.';
COMMENT ON COLUMN run_costs.rejected IS 'Items that could not be used.';
COMMENT ON COLUMN run_costs.prompt_tokens IS 'Tokens in all prompts of this run.';
COMMENT ON COLUMN run_costs.completion_tokens IS 'Tokens generated in this run.';
COMMENT ON COLUMN run_costs.cached_tokens IS 'Prompt tokens that came from the prefix cache.';
COMMENT ON COLUMN run_costs.generation_seconds IS 'Seconds that the language model was at work.';
COMMENT ON COLUMN run_costs.tokens_a_second IS 'Tokens generated per second of that time.';
COMMENT ON COLUMN run_costs.cost_of_1000_answers IS 'Cost of a thousand generated answers at this rate.';
COMMENT ON COLUMN run_costs.currency IS 'The currency from [cost].';
COMMENT ON COLUMN run_costs.cost IS 'Cost of generation_seconds at [cost] gpu_hour, and of the tokens at their prices.';

CREATE VIEW gpu_time_saved AS
WITH speed AS (
    SELECT
        sum(generation_seconds) / nullif(sum(completion_tokens - coalesce(batched_completion_tokens, 0)), 0)
            AS seconds_a_token
    FROM runs WHERE shadow IS NULL
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
COMMENT ON VIEW gpu_time_saved IS 'Model time and cost that each day''s hits saved, at the speed of the batch runs (a lower bound).';
COMMENT ON COLUMN gpu_time_saved.day IS 'The day (UTC).';
COMMENT ON COLUMN gpu_time_saved.hits IS 'Exact and semantic hits.';
COMMENT ON COLUMN gpu_time_saved.tokens_saved IS 'Tokens that the model did not have to generate.';
COMMENT ON COLUMN gpu_time_saved.gpu_seconds_saved IS 'Seconds that the model would have taken, at the speed of the batch runs.';
COMMENT ON COLUMN gpu_time_saved.cost_saved IS 'Cost of that time at [cost] gpu_hour.';
COMMENT ON COLUMN gpu_time_saved.currency IS 'The currency from [cost].';

CREATE VIEW contents AS
SELECT origin, name, kind, comment
FROM (
    SELECT database_name AS origin, table_name AS name, 'table' AS kind, comment FROM duckdb_tables()
    UNION ALL
    SELECT database_name, view_name, 'view', comment FROM duckdb_views() WHERE NOT internal
    UNION ALL
    SELECT database_name, function_name || '(' || array_to_string(parameters, ', ') || ')', 'macro', comment
    FROM duckdb_functions()
    WHERE function_type = 'table_macro' AND NOT internal
)
WHERE comment IS NOT NULL AND origin IN ('release', 'memory', 'temp')
ORDER BY kind, name;
COMMENT ON VIEW contents IS 'All tables, views and macros of this session, with their descriptions.';
COMMENT ON COLUMN contents.origin IS 'release for tables and views of the release, memory and temp for those of the session.';
COMMENT ON COLUMN contents.name IS 'Name of the table, view or macro, which is called with its parameters.';
COMMENT ON COLUMN contents.kind IS 'table, view or macro.';
COMMENT ON COLUMN contents.comment IS 'What it contains.';
