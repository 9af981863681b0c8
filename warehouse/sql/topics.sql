-- Misses in topics: questions that share their telling words. `topic_words` gives the words of a question that are no
-- stop words, with their stems (analysis/topics.py); a word that few questions have tells more. A question joins the
-- most asked one that it resembles, and the topic of that one; so a topic is a star, and not a chain of resemblances.
-- Only the most asked questions are compared: the others are many, and each was asked once or twice.
CREATE VIEW misses_by_topic AS
WITH asked AS MATERIALIZED (
    SELECT
        m.*, row_number() OVER (PARTITION BY m.collection ORDER BY m.asked DESC, m.query_key) AS place,
        count(*) OVER (PARTITION BY m.collection) AS of_all,
        topic_words(m.question, coalesce(l.language, 'en')) AS words
    FROM (FROM frequent_misses WHERE question IS NOT NULL ORDER BY asked DESC, query_key LIMIT 3000) m
    LEFT JOIN collection_languages l USING (collection)
), words AS (
    SELECT collection, place, of_all, unnest(words, recursive := true) FROM asked
), told AS MATERIALIZED (
    SELECT
        *, count(*) OVER (PARTITION BY collection, stem) AS among, ln(1 + of_all / among) AS telling
    FROM words
), lengths AS (
    SELECT collection, place, sqrt(sum(telling * telling)) AS length FROM told GROUP BY ALL
), shared AS MATERIALIZED (
    -- a word that more have tells little, and all their pairs are many
    SELECT collection, place, stem, telling FROM told WHERE among BETWEEN 2 AND 300
), alike AS MATERIALIZED (
    SELECT a.collection, a.place, b.place AS other, sum(a.telling * b.telling) / any_value(n.length * m.length) AS likeness
    FROM shared a
    JOIN shared b ON b.collection = a.collection AND b.stem = a.stem AND b.place < a.place
    JOIN lengths n ON n.collection = a.collection AND n.place = a.place
    JOIN lengths m ON m.collection = b.collection AND m.place = b.place
    GROUP BY a.collection, a.place, b.place
    HAVING likeness >= 0.2
), first_hop AS MATERIALIZED (
    SELECT a.collection, a.place, coalesce(min(x.other), a.place) AS head
    FROM asked a
    LEFT JOIN alike x USING (collection, place)
    GROUP BY a.collection, a.place
), heads AS (
    -- a head that has a head of its own passes its questions on
    SELECT a.collection, a.place, coalesce(c.head, b.head) AS head
    FROM first_hop a
    JOIN first_hop b ON b.collection = a.collection AND b.place = a.head
    LEFT JOIN first_hop c ON c.collection = b.collection AND c.place = b.head
), names AS (
    SELECT collection, head, string_agg(word, ' ' ORDER BY usual, word) AS topic
    FROM (
        SELECT h.collection, h.head, t.stem, arg_min(t.word, a.place) AS word, avg(t.number) AS usual, sum(a.asked * t.telling) AS weight
        FROM heads h
        JOIN told t USING (collection, place)
        JOIN asked a USING (collection, place)
        GROUP BY h.collection, h.head, t.stem
        QUALIFY row_number() OVER (PARTITION BY h.collection, h.head ORDER BY weight DESC, t.stem) <= 3
    )
    GROUP BY ALL
)
SELECT
    h.collection, coalesce(any_value(n.topic), arg_min(a.question, a.place)) AS topic, sum(a.asked)::BIGINT AS asked,
    count(*) AS questions, max(a.last_asked) AS last_asked, arg_min(a.question, a.place) AS most_asked,
    list(a.question ORDER BY a.place)[2:6] AS others, arg_max(a.nearest_question, a.similarity) AS nearest_question,
    max(a.similarity) AS similarity, list(a.query_key ORDER BY a.place) AS query_keys
FROM heads h
JOIN asked a USING (collection, place)
LEFT JOIN names n USING (collection, head)
GROUP BY h.collection, h.head
UNION ALL
SELECT collection, NULL, sum(asked)::BIGINT, count(*), max(last_asked), NULL, [], NULL, NULL, list(query_key)
FROM frequent_misses
WHERE question IS NULL
GROUP BY collection
ORDER BY asked DESC, topic;
COMMENT ON VIEW misses_by_topic IS 'The misses in topics: questions that share their telling words, most asked first.';
COMMENT ON COLUMN misses_by_topic.collection IS 'The collection of the requests.';
COMMENT ON COLUMN misses_by_topic.topic IS 'The words that tell the most about its questions; empty for all whose texts are not kept.';
COMMENT ON COLUMN misses_by_topic.asked IS 'How often its questions were asked.';
COMMENT ON COLUMN misses_by_topic.questions IS 'How many questions it has.';
COMMENT ON COLUMN misses_by_topic.last_asked IS 'When one of them was last asked (UTC).';
COMMENT ON COLUMN misses_by_topic.most_asked IS 'The question that was asked most.';
COMMENT ON COLUMN misses_by_topic.others IS 'Up to five others.';
COMMENT ON COLUMN misses_by_topic.nearest_question IS 'The anticipated question that is most similar to one of them.';
COMMENT ON COLUMN misses_by_topic.similarity IS 'Cosine similarity of those two.';
COMMENT ON COLUMN misses_by_topic.query_keys IS 'The keys of its questions in frequent_misses.';

COMMENT ON TABLE collection_languages IS 'The language of each collection, as the release''s manifest says it.';
COMMENT ON COLUMN collection_languages.collection IS 'The collection.';
COMMENT ON COLUMN collection_languages.language IS 'Its language, as a short code.';
