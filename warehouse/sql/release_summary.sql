-- The counts that `beforehand releases show` prints, one label and text per row.
SELECT label, text
FROM (
    SELECT 1 AS place, 'contents' AS label, format(
        '{:,} documents, {:,} chunks, {:,} questions', (SELECT count(*) FROM documents),
        (SELECT count(*) FROM chunks), (SELECT count(*) FROM questions)
    ) AS text
    UNION ALL
    SELECT 2, 'answers', format(
        '{:,} served, {:,} withheld, {:,} doubtful', count(*) FILTER (status = 'served'),
        count(*) FILTER (status = 'withheld'), (SELECT count(DISTINCT query_key) FROM doubts)
    ) FROM answers
    UNION ALL
    SELECT 3, 'withheld', string_agg(format('{:,} {}', n, withheld_reason), ', ' ORDER BY n DESC)
    FROM (SELECT withheld_reason, count(*) AS n FROM answers WHERE status = 'withheld' GROUP BY 1)
    UNION ALL
    SELECT 4, 'changes', string_agg(format('{:,} {}', n, change || coalesce(' (' || reason || ')', '')), ', ' ORDER BY n DESC)
    FROM (SELECT change, reason, count(*) AS n FROM changes GROUP BY 1, 2)
    UNION ALL
    SELECT 5, 'rejects', format('{:,}', count(*)) FROM rejects
)
WHERE text IS NOT NULL
ORDER BY place
