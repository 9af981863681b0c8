-- Pairs of questions to be labelled: does the second ask the same as the first? Those that nearly hit are left
-- open; where a hit was also answered live, whether the answers agreed is proposed.
SELECT a, b, similarity, reason, asked, same
FROM (
    SELECT question AS a, candidate AS b, similarity, refusal AS reason, asked, '' AS same FROM near_misses
    UNION ALL
    SELECT
        mode(h.question), any_value(q.question), avg(h.similarity), 'compared with a live answer', count(*),
        CASE WHEN bool_and(h.agrees) THEN 'yes' WHEN NOT bool_or(h.agrees) THEN 'no' ELSE '' END
    FROM history h
    JOIN questions q ON q.query_key = h.matched_key
    WHERE h.kind = 'comparison'
    GROUP BY h.query_key, h.matched_key
)
WHERE a IS NOT NULL
ORDER BY same, asked DESC, similarity DESC;
