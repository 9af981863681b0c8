-- Keys and references that are checked once, after loading, instead of declared (see schema.sql).
-- The line above each query names the rule, and the query returns one row per violation.

-- retrievals: two rows have the same question and rank
SELECT query_key, rank FROM retrievals GROUP BY ALL HAVING count(*) > 1;

-- citations: two rows have the same answer and number
SELECT query_key, number FROM citations GROUP BY ALL HAVING count(*) > 1;

-- chunks: the document is not in documents
SELECT chunk_id, document_id FROM chunks ANTI JOIN documents USING (collection, document_id);

-- wordings: the question is not in questions
SELECT wording, query_key FROM wordings ANTI JOIN questions USING (collection, query_key);

-- wordings: the wording is a question of its own
SELECT wording, wording_key FROM wordings SEMI JOIN questions ON wording_key = questions.query_key;

-- fences: the question is not in questions
SELECT text, query_key FROM fences ANTI JOIN questions USING (collection, query_key);

-- fences: the text is a wording of the answer
SELECT text, text_key FROM fences f WHERE f.text_key = f.query_key
    OR EXISTS (FROM wordings w WHERE w.wording_key = f.text_key AND w.query_key = f.query_key);

-- answers: the question is not in questions
SELECT query_key, answer FROM answers ANTI JOIN questions USING (collection, query_key);

-- answers: the model is not in models
SELECT query_key, model_id FROM answers ANTI JOIN models USING (model_id) WHERE model_id IS NOT NULL;

-- answers: the prompt template is not in prompt_templates
SELECT query_key, template_id FROM answers ANTI JOIN prompt_templates USING (template_id)
WHERE template_id IS NOT NULL;

-- retrievals: the question is not in questions
SELECT query_key, rank FROM retrievals ANTI JOIN questions USING (collection, query_key);

-- retrievals: the chunk is not in chunks
SELECT query_key, chunk_id FROM retrievals ANTI JOIN chunks USING (collection, chunk_id);

-- coverage: the question is not in questions
SELECT query_key, score FROM coverage ANTI JOIN questions USING (collection, query_key);

-- citations: the answer is not in answers
SELECT query_key, number FROM citations ANTI JOIN answers USING (collection, query_key);

-- citations: the chunk is not in chunks, or of another document
SELECT query_key, chunk_id, document_id FROM citations ANTI JOIN chunks USING (collection, chunk_id, document_id)
WHERE chunk_id IS NOT NULL;

-- citations: the document is not in documents
SELECT query_key, document_id FROM citations ANTI JOIN documents USING (collection, document_id);

-- run_stages: the run is not in runs
SELECT run_id, stage FROM run_stages ANTI JOIN runs USING (run_id);

-- reviews: the answer is not in answers
SELECT query_key, fingerprint FROM reviews ANTI JOIN answers USING (collection, query_key);
