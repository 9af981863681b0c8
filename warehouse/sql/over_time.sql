-- What a session knows beside its release: the other releases, and the logs of the data folder. Each session makes it
-- anew: `ruling_log`, `decision_log`, `withdrawal_log` and `publication_log` are registered while this runs, and
-- `release_manifests` and the views `…_by_release` are there (analysis/other_releases.py).

CREATE TABLE rulings AS
SELECT * EXCLUDE (place) REPLACE (TRY_CAST(since AS TIMESTAMPTZ) AS since) FROM ruling_log;
COMMENT ON TABLE rulings IS 'Every ruling on a text beside an answer, by the judge or by a person; the last one stands, a person''s before a judge''s.';
COMMENT ON COLUMN rulings.collection IS 'The collection of the answer.';
COMMENT ON COLUMN rulings.query_key IS 'The answer''s key in all tables.';
COMMENT ON COLUMN rulings.text IS 'The text that was ruled about.';
COMMENT ON COLUMN rulings.verdict IS 'wording (it asks for the answer), fence (it must not get it), doubtful (a person decides) or withdrawn.';
COMMENT ON COLUMN rulings.origin IS 'Where the text comes from: list, curated, journal, model, review or judge.';
COMMENT ON COLUMN rulings.approved_by IS 'Who ruled: the certified verifier, a model, a person, or visitors whom the answer did not help.';
COMMENT ON COLUMN rulings.person IS 'Whether it was a person.';
COMMENT ON COLUMN rulings.confidence IS 'The judge''s probability that the answer fits.';
COMMENT ON COLUMN rulings.since IS 'When it was ruled (UTC).';

-- Approvals in a row each hold for their own fingerprint; anything else is superseded by the next decision.
CREATE TABLE decisions AS
WITH ordered AS (
    SELECT
        *, TRY_CAST(reviewed_at AS TIMESTAMPTZ) AS decided_at,
        lead(TRY_CAST(reviewed_at AS TIMESTAMPTZ)) OVER following AS next_at,
        place < max(place) OVER question AS has_later,
        place < coalesce(max(place) FILTER (decision <> 'approve') OVER question, 0) AS has_later_other
    FROM decision_log
    WHERE decision IN ('approve', 'edit', 'reject', 'reconsider') AND query_key IS NOT NULL
        AND (decision <> 'edit' OR answer IS NOT NULL)
    WINDOW question AS (PARTITION BY asked_as), following AS (PARTITION BY asked_as ORDER BY place)
), known AS (
    SELECT q.query_key, q.question, a.fingerprint
    FROM (SELECT query_key, question FROM questions WHERE query_key IN (SELECT unnest([asked_as, query_key]) FROM ordered)) q
    LEFT JOIN release.main.answers a USING (query_key)
)
SELECT
    o.collection, coalesce(o.question, q.question) AS question, o.decision,
    CASE
        WHEN CASE o.decision WHEN 'approve' THEN o.has_later_other ELSE o.has_later END THEN 'superseded'
        WHEN o.decision = 'reconsider' THEN 'taken back'
        WHEN o.decision <> 'approve' OR q.fingerprint = o.fingerprint THEN 'holds'
        WHEN q.fingerprint IS NULL THEN 'no such answer'
        ELSE 'lapsed'
    END AS standing,
    o.reviewer, o.decided_at, CASE WHEN standing = 'superseded' THEN o.next_at END AS superseded_at,
    CASE o.decision WHEN 'edit' THEN o.answer END AS new_answer, o.about AS former_answer, o.note,
    o.decision = 'reject' AND o.allow_live AS allow_live, o.model AS model_id, coalesce(q.query_key, o.query_key) AS query_key, o.fingerprint
FROM ordered o
LEFT JOIN known q ON q.query_key IN (o.asked_as, o.query_key)
ORDER BY o.place;
COMMENT ON TABLE decisions IS 'Every decision of reviewers, the oldest first, and what has become of it in this release.';
COMMENT ON COLUMN decisions.collection IS 'The collection of the question.';
COMMENT ON COLUMN decisions.question IS 'The question that was decided about.';
COMMENT ON COLUMN decisions.decision IS 'approve, edit, reject or reconsider.';
COMMENT ON COLUMN decisions.standing IS 'holds; superseded by a later decision; taken back; lapsed, since the approved answer has changed; no such answer in this release.';
COMMENT ON COLUMN decisions.reviewer IS 'Who decided.';
COMMENT ON COLUMN decisions.decided_at IS 'When it was decided (UTC).';
COMMENT ON COLUMN decisions.superseded_at IS 'When the next decision about the question was made (UTC), if that one holds instead.';
COMMENT ON COLUMN decisions.new_answer IS 'The reviewer''s text of an edit.';
COMMENT ON COLUMN decisions.former_answer IS 'The text that the reviewer saw; older records lack it.';
COMMENT ON COLUMN decisions.note IS 'What the reviewer noted.';
COMMENT ON COLUMN decisions.allow_live IS 'Whether a rejected question may be answered live.';
COMMENT ON COLUMN decisions.model_id IS 'The model of the answer that the reviewer saw.';
COMMENT ON COLUMN decisions.query_key IS 'The question''s key in all tables.';
COMMENT ON COLUMN decisions.fingerprint IS 'The fingerprint of the answer that was decided about.';

CREATE TABLE withdrawals AS
SELECT
    collection, document_id, action, reason, TRY_CAST("at" AS TIMESTAMPTZ) AS recorded_at,
    action = 'withdraw' AND place = max(place) OVER (PARTITION BY collection, document_id) AS in_force
FROM withdrawal_log
ORDER BY place;
COMMENT ON TABLE withdrawals IS 'Every withdrawal of a document and every undoing, the oldest first.';
COMMENT ON COLUMN withdrawals.collection IS 'The collection of the document.';
COMMENT ON COLUMN withdrawals.document_id IS 'The document''s id in documents.';
COMMENT ON COLUMN withdrawals.action IS 'withdraw or reinstate.';
COMMENT ON COLUMN withdrawals.reason IS 'Why.';
COMMENT ON COLUMN withdrawals.recorded_at IS 'When it was recorded (UTC).';
COMMENT ON COLUMN withdrawals.in_force IS 'Whether the document is withdrawn because of it now.';

COMMENT ON TABLE release_manifests IS 'What the manifests of the releases and failed builds say; the view releases has more.';
COMMENT ON COLUMN release_manifests.release_id IS 'Id of the release; ids sort by time.';
COMMENT ON COLUMN release_manifests.state IS 'current, published, failed its audit, or unreadable.';
COMMENT ON COLUMN release_manifests.attached IS 'Whether this session can query it.';
COMMENT ON COLUMN release_manifests.built_at IS 'When it was sealed (UTC).';
COMMENT ON COLUMN release_manifests.run_id IS 'The run that built it.';
COMMENT ON COLUMN release_manifests.model_id IS 'The model that generated its new answers.';
COMMENT ON COLUMN release_manifests.encoder IS 'The embedding model.';
COMMENT ON COLUMN release_manifests.previous IS 'The release that was current when it was sealed.';
COMMENT ON COLUMN release_manifests.failure IS 'Why it was not published; empty if it was.';

CREATE TABLE publications AS
WITH told AS (
    SELECT
        TRY_CAST("at" AS TIMESTAMPTZ) AS published_at, action, release_id, replaced, "by", reason, run_id, place
    FROM publication_log
    UNION ALL BY NAME
    SELECT built_at AS published_at, 'publish' AS action, release_id, previous AS replaced, 'not recorded' AS reason, run_id, 0 AS place
    FROM release_manifests
    WHERE state IN ('current', 'published')
        AND release_id NOT IN (SELECT release_id FROM publication_log WHERE action = 'publish')
)
SELECT published_at, action, release_id, replaced, "by" AS published_by, reason, run_id
FROM told
ORDER BY published_at, place;
COMMENT ON TABLE publications IS 'Every publication of a release and every rollback, the oldest first.';
COMMENT ON COLUMN publications.published_at IS 'When the release became the current one (UTC); when it was sealed, if that is not recorded.';
COMMENT ON COLUMN publications.action IS 'publish or rollback.';
COMMENT ON COLUMN publications.release_id IS 'The release that became the current one.';
COMMENT ON COLUMN publications.replaced IS 'The release that was current before.';
COMMENT ON COLUMN publications.published_by IS 'The account or person who did it.';
COMMENT ON COLUMN publications.reason IS 'Why; "not recorded" for a release that is older than this log.';
COMMENT ON COLUMN publications.run_id IS 'The run that built the release; empty for a rollback.';

CREATE VIEW releases AS
SELECT
    m.release_id, m.state, m.built_at, p.published_at, p.rolled_back_to, c.served, c.withheld, m.model_id, m.encoder, m.run_id,
    m.previous, m.failure, m.attached
FROM release_manifests m
LEFT JOIN (
    SELECT release_id, max(published_at) AS published_at, count(*) FILTER (action = 'rollback') AS rolled_back_to
    FROM publications
    GROUP BY release_id
) p USING (release_id)
LEFT JOIN (
    SELECT release_id, count(*) FILTER (status = 'served') AS served, count(*) FILTER (status = 'withheld') AS withheld
    FROM answers_by_release
    GROUP BY release_id
) c USING (release_id)
ORDER BY m.release_id;
COMMENT ON VIEW releases IS 'The releases and failed builds that are kept, the oldest first.';
COMMENT ON COLUMN releases.release_id IS 'Id of the release; ids sort by time. answers_of(''…'') has its answers.';
COMMENT ON COLUMN releases.state IS 'current, published, failed its audit, or unreadable.';
COMMENT ON COLUMN releases.built_at IS 'When it was sealed (UTC).';
COMMENT ON COLUMN releases.published_at IS 'When it last became the current release (UTC).';
COMMENT ON COLUMN releases.rolled_back_to IS 'How often it became the current release by a rollback.';
COMMENT ON COLUMN releases.served IS 'Answers that visitors get.';
COMMENT ON COLUMN releases.withheld IS 'Answers that they don''t get.';
COMMENT ON COLUMN releases.model_id IS 'The model that generated its new answers.';
COMMENT ON COLUMN releases.encoder IS 'The embedding model.';
COMMENT ON COLUMN releases.run_id IS 'The run that built it.';
COMMENT ON COLUMN releases.previous IS 'The release that was current when it was sealed.';
COMMENT ON COLUMN releases.failure IS 'Why it was not published; empty if it was.';
COMMENT ON COLUMN releases.attached IS 'Whether this session can query it: of very many, only the newest are.';
