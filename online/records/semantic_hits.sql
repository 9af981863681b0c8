-- create
CREATE TABLE IF NOT EXISTS hits (
    request_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    asked_key TEXT NOT NULL,
    matched_key TEXT NOT NULL,
    at REAL NOT NULL,
    reported INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (request_id, key_id, collection, asked_key, matched_key)
) WITHOUT ROWID;

-- insert
INSERT OR IGNORE INTO hits (request_id, key_id, collection, asked_key, matched_key, at) VALUES (?, ?, ?, ?, ?, ?);

-- report
UPDATE hits SET reported = 1
WHERE request_id = ? AND key_id = ? AND collection = ? AND asked_key = ? AND matched_key = ?
    AND at > ? AND reported = 0;

-- prune
DELETE FROM hits WHERE at <= ?;
