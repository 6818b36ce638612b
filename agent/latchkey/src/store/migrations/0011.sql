-- Work that outlives its request. What was under way when the agent stopped has failed.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    operation TEXT NOT NULL,
    hosting TEXT NOT NULL,
    instance TEXT NOT NULL,
    actor TEXT NOT NULL,
    share TEXT,
    state TEXT NOT NULL,
    percent INTEGER NOT NULL DEFAULT 0,
    -- JSON: what was begun, in order.
    steps TEXT NOT NULL DEFAULT '[]',
    output TEXT,
    error TEXT,
    created_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_by_age ON jobs (created_at_ms);

-- What a job says as it goes; the last lines of it.
CREATE TABLE job_lines (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
