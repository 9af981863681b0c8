-- Pairs of questions that are near to each other and did not hit: does the second ask the same as the first?
SELECT question AS a, candidate AS b, similarity, refusal, asked, '' AS same
FROM near_misses
ORDER BY asked DESC, similarity DESC;
