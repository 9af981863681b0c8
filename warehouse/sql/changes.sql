-- What changed in each answer since the previous release, attached as `previous`. A different answer that was not
-- generated in this run is restored: it comes from an earlier run whose build failed or was rolled back.
INSERT INTO changes
SELECT
    coalesce(a.collection, p.collection),
    coalesce(a.query_key, p.query_key),
    CASE
        WHEN p.query_key IS NULL THEN 'new'
        WHEN a.query_key IS NULL THEN 'dropped'
        WHEN a.fingerprint = p.fingerprint THEN 'reused'
        WHEN a.run_id <> getvariable('run_id') THEN 'restored'
        ELSE 'regenerated'
    END,
    CASE
        WHEN p.query_key IS NULL THEN 'new question'
        WHEN a.query_key IS NULL AND s.query_key IS NOT NULL THEN s.reason
        WHEN a.query_key IS NULL AND q.query_key IS NOT NULL THEN 'not answered'
        WHEN a.query_key IS NULL THEN 'question removed'
        WHEN a.fingerprint = p.fingerprint THEN NULL
        WHEN a.origin = 'curated' OR p.origin = 'curated' THEN 'curated'
        ELSE concat_ws(
            ', ',
            CASE WHEN a.passages_hash IS DISTINCT FROM p.passages_hash THEN 'passages' END,
            CASE WHEN a.template_id IS DISTINCT FROM p.template_id THEN 'prompt' END,
            CASE WHEN a.model_id IS DISTINCT FROM p.model_id THEN 'model' END,
            CASE WHEN a.sampling IS DISTINCT FROM p.sampling THEN 'sampling' END
        )
    END,
    p.fingerprint
FROM answers a
FULL JOIN previous.answers p USING (query_key)
LEFT JOIN questions q ON q.query_key = p.query_key
LEFT JOIN set_aside s ON s.query_key = p.query_key;

-- When a run first saw the content of each document; releases older than the column know only when they read it.
CREATE TEMP TABLE known (
    collection VARCHAR, document_id VARCHAR, content_hash VARCHAR, read_at TIMESTAMPTZ, changed_at TIMESTAMPTZ
);
INSERT INTO known BY NAME
SELECT COLUMNS('^(collection|document_id|content_hash|read_at|changed_at)$') FROM previous.documents;
UPDATE documents
SET changed_at = coalesce(k.changed_at, k.read_at)
FROM known k
WHERE k.collection = documents.collection AND k.document_id = documents.document_id
    AND k.content_hash = documents.content_hash AND coalesce(k.changed_at, k.read_at) IS NOT NULL;

-- Since when the team's files have a wording. Releases older than the table lack it, so `previous_wordings` is made for it.
UPDATE wordings
SET since = p.since
FROM previous_wordings p
WHERE p.wording_key = wordings.wording_key AND p.query_key = wordings.query_key AND p.since IS NOT NULL
    AND wordings.origin IN ('list', 'curated');

-- Runs missing from the run log: those of releases older than the log.
INSERT INTO runs BY NAME SELECT * FROM previous.runs ANTI JOIN runs USING (run_id);
INSERT INTO run_stages BY NAME SELECT * FROM previous.run_stages ANTI JOIN run_stages USING (run_id);

UPDATE runs
SET dropped = (SELECT count(*) FROM changes WHERE change = 'dropped')
WHERE run_id = getvariable('run_id');
