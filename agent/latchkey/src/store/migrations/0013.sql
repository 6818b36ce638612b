-- Homes in which the file manager keeps something for a while, and when each is looked at.
CREATE TABLE kept_files (
    hosting TEXT PRIMARY KEY,
    look_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
