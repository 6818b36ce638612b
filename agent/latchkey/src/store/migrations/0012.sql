-- Cron entries that were made here. The crontab has those that are enabled, each with its id in a comment.
CREATE TABLE cron_entries (
    id TEXT PRIMARY KEY,
    hosting TEXT NOT NULL,
    -- Who made it.
    creator TEXT NOT NULL,
    -- Who said last what it runs; none: an owner or the panel, whose entries rest on no share.
    share TEXT,
    schedule TEXT NOT NULL,
    command TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    -- JSON: what a change that is not known to be made wants of it.
    wanted TEXT,
    -- Whether its share has ended, and it is not known to be out of the crontab.
    leaving INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX cron_entries_of_hosting ON cron_entries (hosting);
