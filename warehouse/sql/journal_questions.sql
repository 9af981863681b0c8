-- Visitors' questions to anticipate: those that were asked often but not anticipated, and those that the current release
-- has for that reason. Once served, such a question is no longer a miss, but it must stay. The parameters are how often a
-- question must have been asked, by how many askers, and the keys of the questions that people approved for the list.
--
-- Anonymous askers are told apart within a day only, since their hashes change every day: the day with the most counts.
-- Rows that older versions wrote have no asker and count as one.
WITH daily AS (
    SELECT
        query_key, day,
        count(DISTINCT coalesce(asker, 'unknown')) FILTER (key_id IS NULL) AS anonymous
    FROM requests
    GROUP BY ALL
), askers AS (
    SELECT r.query_key, count(DISTINCT r.key_id) + coalesce(any_value(d.anonymous), 0) AS askers, count(*) AS asked
    FROM requests r
    LEFT JOIN (SELECT query_key, max(anonymous) AS anonymous FROM daily GROUP BY query_key) d USING (query_key)
    GROUP BY r.query_key
), candidates AS (
    SELECT collection, query_key, question, asked, filters FROM frequent_misses WHERE asked >= $often AND question IS NOT NULL
    UNION ALL
    -- as JSON, since the tables of an older release have no such column
    SELECT q.collection, q.query_key, q.question, coalesce(a.asked, 0), to_json(q)->>'filters'
    FROM questions q LEFT JOIN askers a USING (query_key)
    WHERE q.origin = 'journal'
)
SELECT c.collection, c.question, max(c.asked) AS asked, coalesce(any_value(a.askers), 0) AS askers,
    any_value(c.filters) AS filters
FROM candidates c
LEFT JOIN askers a USING (query_key)
WHERE list_contains($approved, c.query_key)
    OR a.askers >= $least_askers
GROUP BY c.collection, c.query_key, c.question;
