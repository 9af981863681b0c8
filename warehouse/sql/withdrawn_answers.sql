-- The answers of a session in which documents are withdrawn: those that rest on one are served to nobody.
CREATE TABLE memory.main.withdrawn_answers AS
SELECT DISTINCT query_key
FROM release.main.citations
SEMI JOIN memory.main.withdrawn_documents USING (collection, document_id);

CREATE VIEW memory.main.answers AS
SELECT * EXCLUDE (gone) REPLACE (
    CASE WHEN gone THEN 'withheld' ELSE status END AS status,
    CASE WHEN gone THEN 'a document that it rests on is withdrawn' ELSE withheld_reason END AS withheld_reason
)
FROM (
    SELECT a.*, status = 'served' AND query_key IN (FROM memory.main.withdrawn_answers) AS gone
    FROM release.main.answers a
);
