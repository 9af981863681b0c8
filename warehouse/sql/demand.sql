-- How often each question was asked on each day. A hit counts for the question that answered it, whatever its wording;
-- whoever has no key counts once a day, so that nobody moves a question up by asking it over and over.
SELECT
    key, day, count(*) FILTER (key_id IS NOT NULL) + count(DISTINCT asker) FILTER (key_id IS NULL) AS asked
FROM (
    SELECT
        CASE WHEN source IN ('exact', 'semantic') THEN coalesce(matched_key, query_key) ELSE query_key END AS key,
        key_id, coalesce(asker, 'unknown') AS asker, day
    FROM journal_files
    WHERE kind = 'request'
)
WHERE key <> ''
GROUP BY key, day;
