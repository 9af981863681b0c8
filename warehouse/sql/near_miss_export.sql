-- Pairs of questions for labelling: does the second ask the same as the first? Near-misses and reported false hits have
-- no label yet; for hits that were also answered live, the label is proposed from whether the answers agreed. An import
-- recognises the pair by its keys.
SELECT a, b, similarity, reason, asked, same, a_key, b_key
FROM (
    SELECT
        question AS a, candidate AS b, similarity, refusal AS reason, asked, '' AS same, query_key AS a_key,
        matched_key AS b_key
    FROM near_misses
    UNION ALL
    SELECT
        mode(h.question), any_value(q.question), avg(h.similarity), 'compared with a live answer', count(*),
        CASE WHEN bool_and(h.agrees) THEN 'yes' WHEN NOT bool_or(h.agrees) THEN 'no' ELSE '' END,
        h.query_key, h.matched_key
    FROM history h
    JOIN questions q ON q.query_key = h.matched_key
    WHERE h.kind = 'comparison'
    GROUP BY h.query_key, h.matched_key
    UNION ALL
    SELECT
        mode(h.question), any_value(q.question), NULL, 'reported as a false hit', count(*), '', h.query_key,
        h.matched_key
    FROM history h
    JOIN questions q ON q.query_key = h.matched_key
    WHERE h.kind = 'feedback' AND h.question IS NOT NULL
    GROUP BY h.query_key, h.matched_key
)
WHERE a IS NOT NULL
ORDER BY same, asked DESC, similarity DESC;
