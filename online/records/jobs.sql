-- Asynchronous questions. Times are Unix seconds. A running job belongs to `owner` until `lease`; an owner that
-- dies renews no lease, and another worker, or the next start of the service, takes the job over. `attempts` counts
-- the calls of the language model that gave this very job no answer.

-- create
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    asked TEXT NOT NULL,
    key_id TEXT,
    status TEXT NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    created REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    owner TEXT,
    lease REAL NOT NULL DEFAULT 0,
    http_status INTEGER,
    outcome BLOB,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;

-- add_attempts
ALTER TABLE jobs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;

-- columns
SELECT name FROM pragma_table_info('jobs');

-- index
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (status, created);

-- open_jobs
SELECT count(*) FROM jobs WHERE status IN ('queued', 'running');

-- insert
INSERT INTO jobs (id, asked, key_id, created) VALUES (:id, :asked, :key_id, :now);

-- find
SELECT id, asked, key_id, status, http_status, outcome, attempts FROM jobs WHERE id = :id;

-- claim
UPDATE jobs SET status = 'running', owner = :owner, lease = :lease
WHERE id = (
    SELECT id FROM jobs
    WHERE (status = 'queued' AND not_before <= :now) OR (status = 'running' AND lease < :now)
    ORDER BY max(created, not_before), created LIMIT 1 -- one that comes back queues up behind those that came meanwhile
)
RETURNING id, asked, key_id, status, http_status, outcome, attempts;

-- renew
UPDATE jobs SET lease = :lease WHERE status = 'running' AND owner = :owner;

-- postpone
UPDATE jobs SET status = 'queued', owner = NULL, not_before = :not_before, attempts = attempts + :failed
WHERE id = :id AND owner = :owner;

-- release
UPDATE jobs SET status = 'queued', owner = NULL WHERE status = 'running' AND owner = :owner;

-- finish
UPDATE jobs SET status = :status, http_status = :http_status, outcome = :outcome WHERE id = :id AND owner = :owner;

-- answer_again
UPDATE jobs SET status = 'queued', owner = NULL, not_before = :now, attempts = 0, http_status = NULL, outcome = NULL
WHERE id = :id AND status = 'done';

-- expire
DELETE FROM jobs WHERE created < :before;
